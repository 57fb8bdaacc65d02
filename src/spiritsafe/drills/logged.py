"""The exchanges of a play, as a gateway would log them, with a scripted model behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spiritsafe.drills.cast import Cast, cast
from spiritsafe.drills.play import Cue, Play
from spiritsafe.drills.recording import recorded
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.record import Exchange

Blocked = Callable[[str, float], bool]
"""Whether an account, by its name, is told no at unix seconds."""


def exchanges(scenario: Scenario, blocked: Blocked | None = None) -> Iterator[Exchange]:
    """The exchanges of `scenario` in the order of time; the same for the same seed.

    Each is made when it is asked for: whoever reads may decide on what it has read, and says by `blocked` who is told
    no from now on. Campaigns and people react to that.

    Raises:
        InputError: prompt sets or questions cannot be read.
    """
    for _, exchange in played(cast(scenario), scenario.ends_at, blocked):
        yield exchange


def played(made: Cast, end: float, blocked: Blocked | None = None) -> Iterator[tuple[Cue, Exchange]]:
    """Everybody in `made` at work until `end`: each cue with its exchange, in the order of time.

    The exchanges of every account are counted in `made.key`.
    """
    play, blocks, count = Play(made.actors, end), made.blocks, made.key.count
    while (cue := play.take()) is not None:
        ask = cue.ask
        is_refused = cue.at >= blocks.get(ask.account, end) or (blocked is not None and blocked(ask.account, cue.at))
        exchange, reply = recorded(cue, is_refused=is_refused)
        count(ask.account, is_own=bool(ask.campaign))
        yield cue, exchange
        play.give(cue, reply)
