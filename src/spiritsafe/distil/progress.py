"""Progress: how far a collection is, as a value, and the line that shows it.

`Meter` turns counts into `Progress` values at most four times a second; `shown_on` renders them: a line that is
rewritten in place on a terminal, else a plain line every ten seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

TELL_EVERY_S = 0.25
PLAIN_LINE_EVERY_S = 10.0
RATE_WINDOW_S = 20.0
"""Seconds over which the rate is taken: long enough for slow teachers, short enough to follow a change of pace."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a collection stands.

    Attributes:
        done: requests whose answer is in the ledger, found there or asked for.
        total: requests there are in all; None where the prompts were not counted.
        in_flight: requests sent and not yet answered.
        per_s: answers asked for and received a second, lately.
        dollars: spent in this sitting; None if a price was unknown.
        eta_s: seconds left at that rate; None where total or rate is unknown.
        errors: failed attempts by kind, retried ones included.
    """

    done: int
    total: int | None
    in_flight: int
    per_s: float
    dollars: float | None
    eta_s: float | None
    errors: Mapping[str, int] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]


class Meter:
    """Tells `on_progress` at most every `TELL_EVERY_S` seconds; times are handed in (one monotonic clock)."""

    def __init__(self, on_progress: OnProgress | None, total: int | None, now_s: float) -> None:
        self._on_progress = on_progress
        self._total = total
        self._told_at_s = now_s - TELL_EVERY_S
        self._seen: deque[tuple[float, int]] = deque([(now_s, 0)])

    def tell(
        self,
        now_s: float,
        *,
        done: int,
        asked: int,
        in_flight: int,
        dollars: float | None,
        errors: Mapping[str, int],
        last: bool = False,
    ) -> None:
        """Pass the counts on, if it is time or this is the `last` word."""
        if self._on_progress is None or (now_s < self._told_at_s + TELL_EVERY_S and not last):
            return
        self._told_at_s = now_s
        per_s = self._rate(now_s, asked)
        left = None if self._total is None else max(0, self._total - done)
        eta_s = 0.0 if left == 0 else left / per_s if left is not None and per_s > 0 else None
        self._on_progress(Progress(done, self._total, in_flight, per_s, dollars, eta_s, dict(errors)))

    def _rate(self, now_s: float, asked: int) -> float:
        self._seen.append((now_s, asked))
        while len(self._seen) > 2 and self._seen[0][0] < now_s - RATE_WINDOW_S:
            self._seen.popleft()
        first_s, first_asked = self._seen[0]
        return (asked - first_asked) / (now_s - first_s) if now_s > first_s else 0.0


def line_of(progress: Progress) -> str:
    """One line for people."""
    of = f"/{progress.total:,} ({progress.done / max(1, progress.total):.0%})" if progress.total is not None else ""
    parts = [f"{progress.done:,}{of} answers", f"{progress.per_s:,.1f}/s", f"{progress.in_flight:,} in flight"]
    parts.append("price unknown" if progress.dollars is None else f"${progress.dollars:,.4f}")
    if progress.eta_s is not None:
        minutes, seconds = divmod(round(progress.eta_s), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    if progress.errors:
        parts.append("errors: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(progress.errors.items())))
    return " · ".join(parts)


@contextmanager
def shown_on(stream: TextIO, clock: Callable[[], float]) -> Iterator[OnProgress]:
    """A callback for `collect` that shows progress on `stream` for as long as the context lasts.

    Args:
        stream: where to, usually stderr.
        clock: a monotonic clock in seconds.
    """
    if not stream.isatty():
        yield _plain(stream, clock)
        return
    # Imported here: without a terminal nothing of rich is needed, and it doubles the start of the command.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(file=stream), refresh_per_second=4) as live:
        yield lambda progress: live.update(Text(line_of(progress), overflow="ellipsis", no_wrap=True))


def _plain(stream: TextIO, clock: Callable[[], float]) -> OnProgress:
    next_at_s = clock()

    def show(progress: Progress) -> None:
        nonlocal next_at_s
        if clock() >= next_at_s:
            next_at_s = clock() + PLAIN_LINE_EVERY_S
            stream.write(line_of(progress) + "\n")
            stream.flush()

    return show
