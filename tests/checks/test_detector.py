"""The check of detectors: each promise is shown a detector that breaks it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar

import pytest

from spiritsafe.checks.detector import Case, check_detector
from spiritsafe.checks.promise import BrokenPromise
from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.tally import Counting, Tally, tally_bytes
from spiritsafe.guard.detectors.view import View


def _is_short(view: View) -> int | None:
    return 0 if len(view.user) < 3 else None


SHORT = Counting("short", "short prompts", ("are short",), _is_short)


@dataclass(frozen=True)
class Broken:
    """Counts short prompts, with one thing wrong."""

    name: str = "short"
    says: str = "short prompts"
    scope: Scope = "account"
    state_bytes: int = tally_bytes(1)

    def fresh(self) -> Any:
        return SHORT.fresh()

    def unpack(self, data: bytes) -> Any:
        return SHORT.unpack(data)

    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        return SHORT.look(view, state, ordinary)

    def observe(self, view: View, state: Any) -> None:
        SHORT.observe(view, state)

    def learn(self, view: View, ordinary: Any) -> None:
        self.observe(view, ordinary)


class SeesNothing(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        return None


class CountsWhenItLooks(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        self.observe(view, state)
        return super().look(view, state, ordinary)


class LearnsWhenItLooks(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        self.observe(view, ordinary)
        return super().look(view, state, ordinary)


class ChangesItsMind(Broken):
    moods: ClassVar[Iterator[float]] = count()

    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        sign = super().look(view, state, ordinary)
        return sign and replace(sign, score=next(self.moods))


class ScoresWithoutEnd(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        sign = super().look(view, state, ordinary)
        return sign and replace(sign, score=float("inf"))


class Quotes(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        sign = super().look(view, state, ordinary)
        return sign and replace(sign, reasons=(f"said:\n{view.user}",))


class NamesNoExchange(Broken):
    def look(self, view: View, state: Any, ordinary: Any) -> Sign | None:
        sign = super().look(view, state, ordinary)
        return sign and replace(sign, exchanges=())


class ForgetsInAFile(Broken):
    def unpack(self, data: bytes) -> Any:
        SHORT.unpack(data)
        return SHORT.fresh()


class TakesAnyBytes(Broken):
    def unpack(self, data: bytes) -> Any:
        try:
            return SHORT.unpack(data)
        except StoreError:
            return SHORT.fresh()


class FailsOnDamage(Broken):
    def unpack(self, data: bytes) -> Any:
        if not data:
            raise IndexError
        return SHORT.unpack(data)


class _Last(Tally):
    """Remembers only the last state that was merged into it."""

    def merge(self, other: Tally) -> Tally:
        return other


class MergesByForgetting(Broken):
    def fresh(self) -> Any:
        return _Last(1)


_MARK = 1 << 40


class _Spoils(Tally):
    """Marks itself when something is merged into it; the result is right all the same."""

    def merge(self, other: Tally) -> Tally:
        whole = super().merge(other)
        both = _Spoils(1, whole.seen % _MARK, whole.counts)
        both.different = whole.different
        self.seen ^= _MARK
        return both


class _First(Tally):
    """Counts nothing after the first exchange."""

    def add(self, kind: int | None, prompt: int) -> None:
        if not self.seen:
            super().add(kind, prompt)


class RemembersTheFirst(Broken):
    def fresh(self) -> Any:
        return _First(1)

    def unpack(self, data: bytes) -> Any:
        back, tally = _First(1), SHORT.unpack(data)
        back.seen, back.counts, back.different = tally.seen, tally.counts, tally.different
        return back


class SpoilsWhatItMerges(Broken):
    def fresh(self) -> Any:
        return _Spoils(1)


class BreaksOnNonsense(Broken):
    def observe(self, view: View, state: Any) -> None:
        view.user.encode()
        super().observe(view, state)


CASE = Case(SHORT, [Exchange(str(at), 0.0, "chat", (Message("user", "x" * at),)) for at in range(1, 6)])


def test_a_detector_that_keeps_its_promises_passes() -> None:
    check_detector(CASE)


def test_a_detector_whose_point_is_the_order_may_depend_on_it() -> None:
    check_detector(replace(CASE, detector=RemembersTheFirst(), in_order=True))


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (SeesNothing(), "finds something strange"),
        (CountsWhenItLooks(), "changes nothing by looking"),
        (LearnsWhenItLooks(), "changes nothing by looking"),
        (ChangesItsMind(), "says the same when it looks again"),
        (ScoresWithoutEnd(), "finite score"),
        (Quotes(), "reasons of one line"),
        (NamesNoExchange(), "names the exchange"),
        (ForgetsInAFile(), "packs what it unpacked"),
        (TakesAnyBytes(), "refuses bytes"),
        (MergesByForgetting(), "merges in any order"),
        (RemembersTheFirst(), "in whatever order"),
        (SpoilsWhatItMerges(), "leaves merged parts"),
        (Broken(state_bytes=20), "within 20 bytes"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Broken) else "",
)
def test_a_broken_promise_is_found(broken: Broken, promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        check_detector(replace(CASE, detector=broken))


@pytest.mark.parametrize("broken", [FailsOnDamage(), BreaksOnNonsense()], ids=lambda one: type(one).__name__)
def test_a_detector_that_breaks_is_found(broken: Broken) -> None:
    with pytest.raises((IndexError, UnicodeEncodeError)):
        check_detector(replace(CASE, detector=broken))
