"""One process of the data plane: `python -m spiritsafe.guard.gateway.worker NUMBER`, settings on standard input.

It binds the address together with the other workers (SO_REUSEPORT), says `ready` on standard output, and serves until
SIGTERM: then answers finish, the log is written out, and it ends with 0. It also ends when its standard input closes,
since then the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spiritsafe.errors import InputError, SpiritSafeError, shown
from spiritsafe.exchanges.segments import SegmentWriter
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.cells import Cells
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.customer import Customer
from spiritsafe.guard.gateway.desk import Desk
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.following import Following
from spiritsafe.guard.gateway.journal import Journal
from spiritsafe.guard.gateway.routes import Route, Routes, fixed_headers
from spiritsafe.guard.gateway.upstream import Pool
from spiritsafe.guard.limits import Meter
from spiritsafe.guard.policy import policy_from_json
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings import Settings, UpstreamSettings, settings_from_json

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.sharing import Sharing
    from spiritsafe.guard.gateway.traces import Traces

REFRESH_S = 0.25
"""How often accounts and decisions are looked at for changes: a revoked key works for no longer."""

SWEEP_S = 1.0
LAST_WRITE_S = 10.0
"""How long the log may take to be written out at the end."""

BACKLOG = 4096


def main() -> None:
    """Run the worker whose number is on the command line."""
    import uvloop

    number = int(sys.argv[1])
    settings = settings_from_json(sys.stdin.buffer.readline())
    gc.freeze()  # what was imported lives for ever; collections need not look at it
    try:
        uvloop.run(serve(settings, number, os.environ))
    except SpiritSafeError as error:
        sys.exit(f"worker {number}: {' '.join(str(error).split())}")


async def serve(settings: Settings, number: int, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or until standard input closes."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    _watch_supervisor(loop, stop)
    folder = GuardFolder(settings.folder)
    with Accounts.open(folder.path) as accounts, Rulings.open(folder.path) as rulings:
        traces = _traces(environ)
        desk = _desk(settings, number, loop, folder, accounts, rulings, environ, traces)
        sharing = await _sharing(settings, number, desk, environ)
        refresher = loop.create_task(_refresh(desk, rulings))
        sweeper = loop.create_task(_sweep(desk, loop))
        server = await loop.create_server(
            lambda: Customer(desk, loop), sock=listening(settings), ssl=_tls(settings), backlog=BACKLOG
        )
        desk.sweep(loop)
        print("ready", flush=True)
        await stop.wait()
        server.close()
        desk.drain()
        await _drained(desk, settings.bounds.drain_s)
        await desk.journal.close(LAST_WRITE_S)
        if sharing is not None:
            await sharing.leave()
        if traces is not None:
            await loop.run_in_executor(None, traces.close, LAST_WRITE_S)
        desk.sweep(loop)
        refresher.cancel()
        sweeper.cancel()


def listening(settings: Settings) -> socket.socket:
    """A socket at the customers' address, which every worker has its own of; the kernel shares connections out."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((settings.host, settings.port))
    return sock


def _watch_supervisor(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), read)


def _desk(
    settings: Settings,
    number: int,
    loop: asyncio.AbstractEventLoop,
    folder: GuardFolder,
    accounts: Accounts,
    rulings: Rulings,
    environ: Mapping[str, str],
    traces: Traces | None,
) -> Desk:
    policy = policy_from_json(rulings.current_policy())
    writer = SegmentWriter(folder.segments, settings.log.roll_mb << 20)
    journal = Journal(loop, writer.append, settings.log.interval_ms / 1000, settings.log.most_waiting_mb << 20)
    meter = Meter(Cells(folder.limits, settings.workers).columns, number)
    book = Book(accounts)
    meter.forget_open(book.numbers())
    desk = Desk(
        book=book,
        routes=Routes([_route(upstream, settings, loop, environ) for upstream in settings.upstreams]),
        policy=policy,
        meter=meter,
        journal=journal,
        counters=Counters(folder.counters, number),
        bounds=settings.bounds,
        log=settings.log,
        client=settings.client,
        summarise=_summarise(settings.summarise),
        traces=traces,
    )
    desk.standings = rulings.standing(time.time())
    return desk


def _route(
    upstream: UpstreamSettings, settings: Settings, loop: asyncio.AbstractEventLoop, environ: Mapping[str, str]
) -> Route:
    parts = urlsplit(upstream.url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    pool = Pool(loop, parts.hostname, port, tls, settings.bounds.connect_s, upstream.most_connections)
    key = environ[upstream.key_env] if upstream.key_env else None
    return Route(upstream, pool, parts.path.encode(), fixed_headers(upstream, parts.netloc, key))


def _summarise(name: str) -> Callable[[str], str] | None:
    """The operator's function, called in the loop: it must be quick.

    Raises:
        InputError: there is none of that name.
    """
    if not name:
        return None
    module, _, function = name.partition(":")
    try:
        found: Callable[[str], str] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"got summarise = {shown(name)}, wanted a function that can be imported ({error})") from None
    return found


def _traces(environ: Mapping[str, str]) -> Traces | None:
    """Traces, where the standard variables of OpenTelemetry ask for them; else nothing of it is even imported."""
    if not any(name.startswith("OTEL_EXPORTER") for name in environ):
        return None
    from spiritsafe.guard.gateway.traces import open_traces

    return open_traces(environ)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.private_key)
    return context


async def _sharing(settings: Settings, number: int, desk: Desk, environ: Mapping[str, str]) -> Sharing | None:
    """What other gateways have used counts here too from now on, and their accounts and decisions hold."""
    if not settings.redis_url:
        return None
    from spiritsafe.guard.gateway.sharing import joined

    def say(line: str) -> None:
        print(f"worker {number}: {line}", file=sys.stderr, flush=True)

    sharing = await joined(settings, number, desk, desk.counters, environ, say)
    sharing.start()
    return sharing


async def _refresh(desk: Desk, rulings: Rulings) -> None:
    """Follow changes of accounts, policy and decisions."""
    following = Following(desk, rulings)
    while True:
        await asyncio.sleep(REFRESH_S)
        following.look()


async def _sweep(desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        desk.sweep(loop)


async def _drained(desk: Desk, patience_s: float) -> None:
    """Wait until every answer is out, or give up on those that are not."""
    ends_s = time.perf_counter() + patience_s
    while desk.flows and time.perf_counter() < ends_s:
        await asyncio.sleep(0.02)
    for flow in list(desk.flows):
        flow.give_up("shut_down")


if __name__ == "__main__":
    main()
