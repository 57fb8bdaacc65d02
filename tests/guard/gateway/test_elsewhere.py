"""What other machines say they have used, as a worker's meter counts it."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.gateway.elsewhere import Elsewhere
from spiritsafe.guard.limits import DAY_S, FIELDS, MINUTE_S, Counts, Limits, Meter, together

NOON = 1_700_000_000 // DAY_S * DAY_S + 12 * 3600.0
SLOTS = {"acme": 1, "newco": 2}
ALL = frozenset({"b/0", "c/0"})


def meter() -> Meter:
    return Meter([memoryview(array("Q", bytes(4 * FIELDS * 8)))], 0)


class Worker:
    """A worker that says what it counts, and one that hears it; `now_s` is the clock of both."""

    def __init__(self) -> None:
        self.now_s = NOON
        self.slots = dict(SLOTS)
        self.meter = meter()
        self.elsewhere = Elsewhere(self.meter, self.slots.get, lambda: self.now_s)

    def hear(self, other: Worker, member: str, name: str = "acme") -> None:
        self.elsewhere.take(name, member, other.elsewhere.own(other.slots[name]))

    def counts(self, slot: int = 1) -> Counts:
        return self.meter.others[slot]


def test_what_several_members_have_used_adds_up_and_what_is_said_again_counts_once() -> None:
    here, b, c = Worker(), Worker(), Worker()
    for other, times in ((b, 3), (c, 2)):
        for _ in range(times):
            other.meter.admit(1, Limits(), NOON)
            other.meter.spend(1, NOON, 10, 7)
    here.elsewhere.lives(ALL)
    for _ in range(2):
        here.hear(b, "b/0")
        here.hear(c, "c/0")

    counts = here.counts()
    assert (counts.requests, counts.tokens, counts.day_tokens, counts.day_microdollars) == (5, 50, 50, 35)
    assert counts.open_now == 5


def test_a_meter_notes_every_account_of_which_there_is_something_to_say() -> None:
    one = meter()
    one.touched = set()
    for does in (lambda: one.admit(1, Limits(), NOON), lambda: one.spend(1, NOON, 0, 0), lambda: one.leave(1)):
        one.touched.clear()
        does()
        assert one.touched == {1}
    one.touched.clear()
    assert one.admit(1, Limits(concurrency=0), NOON) is not None
    assert one.touched == set()
    assert one.used_since([1, 2], int(NOON // DAY_S)) == {1}
    assert one.used_since([1, 2], int(NOON // DAY_S) + 1) == set()


def test_only_the_living_have_requests_open() -> None:
    here, b = Worker(), Worker()
    b.meter.admit(1, Limits(), NOON)
    here.hear(b, "b/0")
    seen = []
    for living in (frozenset(), ALL, frozenset({"c/0"}), ALL):
        here.elsewhere.lives(living)
        seen.append((here.counts().requests, here.counts().open_now))

    assert seen == [(1, 0), (1, 1), (1, 0), (1, 1)]


def test_a_request_that_has_ended_is_open_no_more_whoever_comes_and_goes() -> None:
    here, b = Worker(), Worker()
    here.elsewhere.lives(ALL)
    b.meter.admit(1, Limits(), NOON)
    here.hear(b, "b/0")
    b.meter.leave(1)
    here.hear(b, "b/0")
    here.elsewhere.lives(frozenset())
    here.elsewhere.lives(ALL)

    assert here.counts().open_now == 0


def test_an_account_that_is_not_known_yet_counts_once_it_is() -> None:
    here, b = Worker(), Worker()
    del here.slots["newco"]
    b.meter.admit(2, Limits(), NOON)
    here.hear(b, "b/0", "newco")
    here.elsewhere.look_again()
    assert here.meter.others == {}
    here.slots["newco"] = 3
    here.elsewhere.look_again()

    assert here.counts(3).requests == 1


def test_what_was_used_two_days_ago_is_forgotten() -> None:
    here, b = Worker(), Worker()
    b.meter.admit(1, Limits(), NOON)
    here.hear(b, "b/0")
    for days, kept in ((0, True), (1, True), (2, False), (3, False)):
        here.now_s = NOON + days * DAY_S
        here.elsewhere.forget()
        assert (1 in here.meter.others) is kept
    here.elsewhere.lives(ALL)


@given(st.binary(max_size=100).filter(lambda said: len(said) != FIELDS * 8))
def test_what_nobody_could_have_said_is_passed_over(said: bytes) -> None:
    here = Worker()
    here.elsewhere.take("acme", "b/0", said)

    assert here.meter.others == {}


counts = st.builds(
    Counts,
    st.integers(-2, 2).map(lambda minutes: int(NOON // MINUTE_S) + minutes),
    *[st.integers(0, 50)] * 4,
    st.integers(-1, 1).map(lambda days: int(NOON // DAY_S) + days),
    *[st.integers(0, 50)] * 3,
)


@given(st.lists(counts, max_size=4), st.lists(counts, max_size=4))
def test_parts_add_up_in_any_order_and_in_parts(some: list[Counts], others: list[Counts]) -> None:
    whole = together([*some, *others], NOON)

    assert whole == together([*others, *some], NOON)
    assert whole == together([together(some, NOON), together(others, NOON)], NOON)


def test_a_clock_that_is_a_little_ahead_hides_nothing() -> None:
    minute = int(NOON // MINUTE_S)
    ahead = Counts(minute=minute + 1, requests=2, requests_before=3, tokens=4, tokens_before=5)

    assert together([ahead], NOON)[:5] == (minute, 5, 0, 9, 0)
