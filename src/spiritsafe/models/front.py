"""The process behind one address: a balancer and its llama.cpp servers. `python -m spiritsafe.models.front PLAN`.

With a key to ask for, a gate stands before the balancer, and the servers ask for a key of their own.

Input: a `serve.Plan` as JSON. Output: one JSON line, {"base_url": …} once every server is healthy, or {"error": …,
"kind": …}. It ends, and its servers with it, when its standard input does or when one of the servers ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from typing import Any

from spiritsafe.errors import InputError, SpiritSafeError, UpstreamError, shown
from spiritsafe.models.backend import EMBEDDINGS, KEY_ENV
from spiritsafe.models.balancer import Address, Balancer
from spiritsafe.models.gate import Gate
from spiritsafe.models.secrets import read_key
from spiritsafe.models.serve import Plan

READY_S = 60.0
POLL_S = 0.05
GOODBYE_S = 5.0


def main() -> None:
    """Serve the plan in the first argument until standard input ends."""
    try:
        asyncio.run(_run(Plan(**json.loads(sys.argv[1]))))
    except SpiritSafeError as error:
        _announce({"error": str(error), "kind": error.kind if isinstance(error, UpstreamError) else "input"})
        _exit(2)
    _exit(0)


def _exit(status: int) -> None:
    # The thread that waits on standard input cannot be ended otherwise.
    sys.stdout.flush()
    os._exit(status)


def _announce(said: dict[str, str]) -> None:
    print(json.dumps(said), flush=True)


async def _run(plan: Plan) -> None:
    key = read_key(plan.api_key_env, os.environ).reveal()
    # Without one, whoever is on this machine could go past the gate to the servers' own ports.
    inner_key = secrets.token_urlsafe(32) if key else ""
    listener = listening(plan.host, plan.port)
    over = _stdin_over()
    children: list[Process] = []
    try:
        backends = await _until_ready(plan, inner_key, children, over)
        if over.done():
            return
        balancer = Balancer(backends)
        server = await asyncio.start_server(
            Gate(key, balancer, inner_key).serve if key else balancer.serve, sock=listener
        )
        _announce({"base_url": base_url(plan.host, listener.getsockname()[1])})
        await _first_end(children, over)
        server.close()
    finally:
        await _end(children)


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; taken before any weights are loaded, so that a taken port is known at once.

    Raises:
        InputError: the port is taken or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"cannot listen on {shown(host)} port {port}: {error.strerror}; take another port, or 0 for a free one"
        ) from None


def base_url(host: str, port: int) -> str:
    """The address for clients."""
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _stdin_over() -> asyncio.Future[None]:
    """Done when standard input ends."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def watch() -> None:
        while os.read(0, 1):
            pass
        loop.call_soon_threadsafe(over.set_result, None)

    threading.Thread(target=watch, daemon=True).start()
    return over


async def _until_ready(
    plan: Plan, inner_key: str, children: list[Process], over: asyncio.Future[None]
) -> Sequence[Address]:
    """Start the servers, put them into `children`, and return their addresses once all are healthy.

    Raises:
        UpstreamError: one ended (kind "server") or they took too long (kind "timeout").
    """
    for _ in range(plan.processes):
        children.append(await _spawn(plan, inner_key))
    ready = asyncio.gather(*(_healthy(child, plan) for child in children))
    await asyncio.wait((ready, over), timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        return ready.result()
    ready.cancel()
    if over.done():
        return ()
    raise UpstreamError(
        f"the server of {shown(plan.alias)} was not ready within {READY_S:.0f} s; see why with --verbose",
        kind="timeout",
        retryable=True,
    )


async def _spawn(plan: Plan, inner_key: str) -> Process:
    words = [sys.executable, "-m", "spiritsafe.models.backend", plan.path, plan.alias, str(plan.n_ctx)]
    if plan.embeddings:
        words.append(EMBEDDINGS)
    return await asyncio.create_subprocess_exec(
        *words,
        stdin=PIPE,
        stdout=PIPE,
        stderr=None if plan.verbose else DEVNULL,
        env=os.environ | {KEY_ENV: inner_key},
    )


async def _healthy(child: Process, plan: Plan) -> Address:
    """The address of a server, once it says that its model is loaded."""
    assert child.stdout is not None
    words = (await child.stdout.readline()).split()
    if len(words) != 2:
        raise UpstreamError(
            f"llama.cpp could not serve {shown(plan.path)}; see why with --verbose", kind="server", retryable=False
        )
    address = words[0].decode(), int(words[1])
    while not await is_healthy(address):
        await asyncio.sleep(POLL_S)
    return address


async def is_healthy(address: Address) -> bool:
    """Whether the server at `address` answers GET /health with status 200."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).split()[1:2] == [b"200"]
    except OSError:
        return False
    finally:
        writer.close()


async def _first_end(children: Sequence[Process], over: asyncio.Future[None]) -> None:
    ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(child.wait()) for child in children]
    await asyncio.wait([over, *ends], return_when=asyncio.FIRST_COMPLETED)


async def _end(children: Sequence[Process]) -> None:
    """End the servers by the end of their standard input, by force those that stay."""
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    waits = [asyncio.ensure_future(child.wait()) for child in children]
    if not waits:
        return
    await asyncio.wait(waits, timeout=GOODBYE_S)
    for child in children:
        if child.returncode is None:
            child.kill()


if __name__ == "__main__":
    main()
