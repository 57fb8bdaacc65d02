from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drills.acting import Acts, Ask, Reply, Wanted, ask, side_by_side
from spiritsafe.drills.play import PATIENCE, Actor, Play
from spiritsafe.exchanges.record import Message, Sampling


def asking(text: str, account: str = "acct-0") -> Ask:
    return Ask(account, "ordinary", "chat", {}, "m", (Message("user", text),), Sampling(), Wanted("yes"))


def talk(name: str, start: float, gaps: list[float]) -> Acts:
    at = start
    yield at
    yield from ask(asking(f"{name}0"))
    for number, gap in enumerate(gaps, 1):
        at += gap
        yield at
        yield from ask(asking(f"{name}{number}"))


def performed(play: Play, refuse: bool = False) -> Iterator[tuple[float, str, str]]:
    while (cue := play.take()) is not None:
        yield cue.at, cue.id, cue.ask.messages[0].content
        play.give(cue, Reply("", refuse))


talks = st.lists(st.tuples(st.floats(0, 50), st.lists(st.floats(0, 20), max_size=4)), max_size=5)


@given(talks)
def test_a_play_goes_by_time_and_asks_everything_once(wanted: list[tuple[float, list[float]]]) -> None:
    cast = [Actor(bytes([number] * 16), talk(str(number), *one)) for number, one in enumerate(wanted)]
    seen = list(performed(Play(cast, 1e9)))

    assert [at for at, _, _ in seen] == sorted(at for at, _, _ in seen)
    assert len({name for _, name, _ in seen}) == len(seen) == sum(1 + len(gaps) for _, gaps in wanted)


@given(talks)
def test_acts_side_by_side_ask_what_actors_of_their_own_would_ask(wanted: list[tuple[float, list[float]]]) -> None:
    apart = [Actor(bytes([number] * 16), talk(str(number), *one)) for number, one in enumerate(wanted)]
    ordered = sorted(enumerate(wanted), key=lambda one: one[1][0])
    begun = iter(ordered)

    def begin(at: float) -> Acts:
        number, (start, gaps) = next(begun)
        assert at == start
        return talk(str(number), start, gaps)

    together = side_by_side(iter([one[0] for _, one in ordered]), begin)

    alone = sorted((at, text) for at, _, text in performed(Play(apart, 1e9)))
    assert sorted((at, text) for at, _, text in performed(Play([Actor(b"k" * 16, together)], 1e9))) == alone


def test_an_act_is_begun_when_its_time_has_come_and_not_before() -> None:
    told = []

    def begin(at: float) -> Acts:
        return talk(f"after {len(told)} ", at, [])

    def observing() -> Iterator[str]:
        for _, _, text in performed(Play([Actor(b"k" * 16, side_by_side(iter([1.0, 2.0, 3.0]), begin))], 1e9)):
            told.append(text)
            yield text

    assert list(observing()) == ["after 0 0", "after 1 0", "after 2 0"]


def test_an_act_that_asks_nothing_is_passed_over() -> None:
    def begin(at: float) -> Acts:
        return talk("x", at, []) if at == 2.0 else iter(())  # type: ignore[return-value]

    seen = list(performed(Play([Actor(b"k" * 16, side_by_side(iter([1.0, 2.0, 3.0]), begin))], 1e9)))

    assert [at for at, _, _ in seen] == [2.0]


def test_nobody_asks_in_the_past_or_after_the_end() -> None:
    backwards = talk("x", 10.0, [-5.0, 2.0])
    late = talk("y", 99.0, [2.0])

    seen = list(performed(Play([Actor(b"a" * 16, backwards), Actor(b"b" * 16, late)], 100.0)))

    assert [at for at, _, _ in seen] == [10.0, 10.0, 10.0, 99.0]


def test_a_second_wait_does_not_go_back_in_time() -> None:
    def hesitant() -> Acts:
        yield 10.0
        yield 5.0
        yield from ask(asking("x"))

    assert [at for at, _, _ in performed(Play([Actor(b"a" * 16, hesitant())], 100.0))] == [10.0]


def test_who_is_refused_again_and_again_goes_away_but_not_a_lane_which_decides_itself() -> None:
    def cast(gives_up: bool) -> list[Actor]:
        return [Actor(b"a" * 16, talk("x", 1.0, [1.0] * 20), gives_up=gives_up)]

    assert len(list(performed(Play(cast(True), 100.0), refuse=True))) == PATIENCE
    assert len(list(performed(Play(cast(False), 100.0), refuse=True))) == 21


def test_several_cues_may_be_out_at_once() -> None:
    play = Play([Actor(bytes([number] * 16), talk(str(number), 1.0, [1.0])) for number in range(3)], 100.0)
    cues = [play.take() for _ in range(3)]

    assert play.take() is None
    for cue in reversed(cues):
        assert cue is not None
        play.give(cue, Reply(""))
    assert [text for _, _, text in performed(play)] == ["01", "11", "21"]
