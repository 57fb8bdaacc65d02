"""The process that starts a gateway's workers and watches over them; no customer's byte passes through it.

    with started(settings, environ) as gateway:     # workers are ready
        gateway.watch()                             # until SIGTERM or an interrupt

It starts the embedded models that the settings name, gives the workers their settings, starts a worker again that died,
follows policy.toml (a file that is wrong changes nothing and is reported), answers /healthz, /readyz and /metrics on an
address of its own, has the log compacted by another process now and then, and another one watch over it where the
settings ask for that.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from spiritsafe.errors import InputError, SpiritSafeError, StoreError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.ops import Ops
from spiritsafe.guard.gateway.watching import Watching, check_installed, kept_from_s, weighed_to_s
from spiritsafe.guard.gateway.worker import listening
from spiritsafe.guard.policy_file import PolicyFile
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings import Settings, settings_to_json
from spiritsafe.guard.settings_file import with_urls
from spiritsafe.models import embedded
from spiritsafe.models.secrets import read_key
from spiritsafe.models.serve import serving

START_S = 30.0
TICK_S = 0.5
SETTLE_S = 5.0
"""How often decisions are looked at that change by time alone."""

RESTART_S = 1.0
"""A worker that died is started again so long after it was last started, or at once if that is past."""

Say = Callable[[str], None]


class Worker:
    """One worker process.

    Args:
        number: which one.
        settings: what it is told.
        environ: its environment, with the keys of the upstreams.
    """

    def __init__(self, number: int, settings: Settings, environ: Mapping[str, str]) -> None:
        self.number = number
        self.started_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spiritsafe.guard.gateway.worker", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            # Out of the terminal's group: an interrupt is for the supervisor, which then ends the workers in order.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(settings_to_json(settings) + b"\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when it serves.

        Raises:
            StoreError: it ended instead; it has said why on standard error.
        """
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self._process.wait()
            raise StoreError("a worker ended before it served; what it said is above")

    def stop(self) -> None:
        """Ask it to end when its answers are out."""
        if self.is_running:
            self._process.terminate()

    def wait(self, patience_s: float) -> bool:
        """Wait for its end, and kill it where that takes longer; whether it ended by itself, and well."""
        try:
            return self._process.wait(patience_s) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False


class Gateway:
    """A running gateway; made by `started`.

    Attributes:
        url: where customers connect, without the "/v1".
        ops_url: where health and metrics are.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], policy: PolicyFile, rulings: Rulings, say: Say
    ) -> None:
        self.settings = settings
        self._environ = environ
        self._policy = policy
        self._rulings = rulings
        self._settled_s = 0.0
        self._say = say
        self._folder = GuardFolder(settings.folder)
        self._compacted_s = time.monotonic()
        self._buckets = settings.log.buckets
        self._compact_s = settings.log.compact_s
        if self._compact_s and find_spec("pyarrow") is None:
            self._compact_s = 0.0
            say("the log stays in its segments: making Parquet of it needs  pip install 'spiritsafe[parquet]'")
        self._compactor: subprocess.Popen[bytes] | None = None
        scheme = "https" if settings.certificate else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{scheme}://{host}:{settings.port}"
        self.ops_url = ""
        self._watching = Watching(settings, environ, say) if settings.watch.reference else None
        self.workers = [Worker(number, settings, environ) for number in range(settings.workers)]
        self.is_stopping = threading.Event()

    def wait_until_ready(self) -> None:
        """Return when every worker serves, and the watch watches where there is one.

        Raises:
            InputError: the watch cannot.
            StoreError: a worker ended instead.
        """
        for worker in self.workers:
            worker.wait_until_ready()
        if self._watching is not None:
            self._watching.wait_until_ready()

    @property
    def is_ready(self) -> bool:
        """Whether every worker lives and takes new requests."""
        return all(worker.is_running for worker in self.workers)

    @property
    def is_watching(self) -> bool:
        """Whether the watch runs."""
        return self._watching is not None and self._watching.is_running

    def watch(self) -> None:
        """Watch over the workers until `is_stopping` is set."""
        while not self.is_stopping.wait(TICK_S):
            self.tick()

    def tick(self) -> None:
        """Start again what died, and follow what has changed."""
        now_s = time.monotonic()
        for at, worker in enumerate(self.workers):
            if not worker.is_running and now_s - worker.started_s > RESTART_S:
                self._say(f"worker {worker.number} died; another one takes its place")
                self.workers[at] = Worker(worker.number, self.settings, self._environ)
                self.workers[at].wait_until_ready()
        if self._watching is not None:
            self._watching.tick(now_s)
        try:
            if self._policy.follow():
                self._say("policy: the new one is in force")
        except SpiritSafeError as error:
            self._say(f"policy: nothing has changed, since {error}")
        if now_s - self._settled_s >= SETTLE_S:
            self._settled_s = now_s
            self._rulings.settle()
        self._compact(now_s)

    def _compact(self, now_s: float) -> None:
        every_s = self._compact_s
        running = self._compactor
        if running is not None and running.poll() is not None:
            self._compactor = None
            if running.returncode != 0:
                self._say("compaction failed; what it said is above, and it is tried again")
        if every_s and self._compactor is None and now_s - self._compacted_s >= every_s:
            self._compacted_s = now_s
            # One that died and is started again soon holds no lock, and has not weighed what it will read anew.
            from_s = (kept_from_s if self._watching is None else weighed_to_s)(self._folder, time.time())
            told = [str(self._folder.path), str(self._buckets), *([] if from_s is None else [str(from_s)])]
            self._compactor = subprocess.Popen(
                [sys.executable, "-m", "spiritsafe.guard.log.compact", *told],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def close(self) -> None:
        """Let the answers finish and end the workers."""
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            if not worker.wait(self.settings.bounds.drain_s + 15.0):
                self._say(f"worker {worker.number} did not end well")
        if self._watching is not None:
            self._watching.close()
        if self._compactor is not None:
            self._compactor.wait()


@contextmanager
def started(settings: Settings, environ: Mapping[str, str] = os.environ, *, say: Say) -> Iterator[Gateway]:
    """A gateway that serves while the block lasts; `say` is told what happens, line by line.

    Raises:
        InputError: a key's variable is not set, the policy or the watch's reference is wrong, or an address is taken.
        MissingExtra: the settings ask for a watch, and what it needs is not installed.
        StoreError: the data folder cannot be used.
    """
    for upstream in settings.upstreams:
        read_key(upstream.key_env or None, environ)
    if settings.watch.reference:
        check_installed()
    folder = GuardFolder(settings.folder)
    with ExitStack() as stack:
        folder.make()
        stack.enter_context(Accounts.open(folder.path))
        rulings = stack.enter_context(Rulings.open(folder.path))
        policy = PolicyFile(Path(settings.policy), rulings)
        policy.follow()
        placeholder = stack.enter_context(_bound(settings))
        settings = replace(settings, port=placeholder.getsockname()[1])
        settings = with_urls(settings, _embedded(settings, stack, say))
        gateway = Gateway(settings, environ, policy, rulings, say)
        stack.callback(gateway.close)
        gateway.wait_until_ready()
        ops = stack.enter_context(Ops(settings, lambda: gateway.is_ready, lambda: gateway.is_watching))
        gateway.ops_url = ops.url
        yield gateway


def _bound(settings: Settings) -> socket.socket:
    """The customers' address, kept from others; it does not listen, so no connection comes here."""
    try:
        return listening(settings)
    except OSError as error:
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another address"
        ) from None


def _embedded(settings: Settings, stack: ExitStack, say: Say) -> dict[str, str]:
    """Start the embedded models; their addresses by upstream."""
    urls: dict[str, str] = {}
    for upstream in settings.upstreams:
        if upstream.embedded:
            path = embedded.get(upstream.embedded, progress=say)
            urls[upstream.name] = stack.enter_context(serving(path, upstream.embedded))
    return urls
