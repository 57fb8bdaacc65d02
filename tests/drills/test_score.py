from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drills.alarms import Alarm
from spiritsafe.drills.key import ATTACKER, AnswerKey, Truth
from spiritsafe.drills.score import Asked, scored
from spiritsafe.errors import InputError

KEY = {
    "n1": Truth(ATTACKER, "north", exchanges=1),
    "n2": Truth(ATTACKER, "north", exchanges=1),
    "n3": Truth(ATTACKER, "north", exchanges=1),
    "s1": Truth(ATTACKER, "south", exchanges=1),
    "o1": Truth("ordinary", exchanges=1),
    "o2": Truth("ordinary", exchanges=1),
    "b1": Truth("nightly_batch", exchanges=1),
    "silent": Truth("ordinary"),
}
ASKERS = [name for name in KEY if name != "silent"]
ATTACKERS = [name for name in ASKERS if KEY[name].campaign]


def key() -> AnswerKey:
    return AnswerKey(dict(KEY))


def alarm(at: float, *accounts: str, scope: str = "account", void: Sequence[object] = ()) -> Alarm:
    return Alarm.model_validate(
        {"scope": scope, "subject": accounts[0], "accounts": list(accounts), "at": float(at), "void": list(void)}
    )


def own(account: str, *times: float, status: int = 200) -> list[Asked]:
    return [Asked(account, float(at), True, status) for at in times]


TIMES = st.integers(0, 40).map(float)
STATUSES = st.sampled_from((200, 200, 403, 429, 500, 0))


@st.composite
def plays(draw: st.DrawFn) -> list[Asked]:
    """Everybody asks at least once; only campaigns have queries of their own."""
    asked = [Asked(name, draw(TIMES), bool(KEY[name].campaign), draw(STATUSES)) for name in ASKERS]
    for _ in range(draw(st.integers(0, 30))):
        name = draw(st.sampled_from(ASKERS))
        asked.append(Asked(name, draw(TIMES), bool(KEY[name].campaign) and draw(st.booleans()), draw(STATUSES)))
    return asked


ALARMS = st.lists(
    st.builds(
        lambda at, accounts, scope: alarm(at, *accounts, scope=scope),
        TIMES,
        st.lists(st.sampled_from(ASKERS), min_size=1, max_size=4, unique=True),
        st.sampled_from(("request", "account", "campaign")),
    ),
    max_size=6,
)


def test_a_score_counts_what_it_says() -> None:
    asked = [
        *own("n1", 10, 20, 30, 40),
        *own("n2", 15, 25),
        *own("n3", 35),
        *own("s1", 12, 14, status=403),
        Asked("n1", 5.0, False),
        Asked("o1", 11.0, False, 429),
        Asked("o2", 12.0, False),
        Asked("b1", 13.0, False),
    ]
    alarms = [
        alarm(25, "n1", "n2", "o1", scope="campaign", void=["lockstep", {"detector": "pivot", "why": "few"}]),
        alarm(1, "o2", scope="request"),
    ]
    score = scored(key(), asked, alarms)
    north = score["campaign"]["north"]

    assert (north["accounts"], north["caught"], north["is_caught"]) == (3, 2, True)
    assert north["precision"]["share"] == 2 / 3
    assert north["exchanges_until_noticed"] == 4  # 10, 15, 20 and the one at 25 that raised it
    assert north["seconds_until_noticed"] == 15.0
    assert north["exchanges_until_caught"] == 2
    assert (north["answered"], north["answered_until_caught"]) == (7, 5)
    assert north["answered_until_caught_share"] == 5 / 7
    assert score["campaign"]["south"]["answered_share"] == 0.0
    assert score["campaign"]["south"]["exchanges_until_noticed"] is None
    assert score["campaigns"] == {
        "campaigns": 2,
        "noticed": 1,
        "caught": 1,
        "recall": {"share": 0.5, "low": pytest.approx(0.0945, abs=1e-3), "high": pytest.approx(0.9055, abs=1e-3)},
        "answered_share": 7 / 9,
        "answered_until_caught_share": 5 / 9,
    }
    assert score["class"]["ordinary"]["accounts"] == 2, "who never asked is not counted"
    assert score["class"]["ordinary"]["alarmed"] == 1
    assert score["class"]["ordinary"]["refused"] == 1
    assert score["class"]["nightly_batch"]["false_alarms"]["high"] > 0.5, "one account proves little"
    assert score["alarms"] == {
        "request": 1,
        "account": 0,
        "campaign": 1,
        "request_by_class": {"ordinary": 1},
        "void": {"lockstep": 1, "pivot": 1},
        "unknown_accounts": 0,
    }


@given(plays())
def test_who_names_all_attackers_and_nobody_else_is_right_in_all(asked: list[Asked]) -> None:
    score = scored(key(), asked, [alarm(0, name) for name in ATTACKERS])

    assert score["accounts"]["recall"]["share"] == score["accounts"]["precision"]["share"] == 1.0
    assert all(row["alarmed"] == 0 for row in score["class"].values())
    assert all(row["is_caught"] for row in score["campaign"].values())


@given(plays())
def test_without_alarms_nothing_is_caught_and_no_precision_is_claimed(asked: list[Asked]) -> None:
    score = scored(key(), asked, [])

    assert score["accounts"]["recall"]["share"] == 0.0
    assert score["accounts"]["precision"] is None
    assert score["campaigns"]["noticed"] == 0
    for row in score["campaign"].values():
        assert row["answered_until_caught"] == row["answered"]
        assert row["exchanges_until_noticed"] is row["seconds_until_noticed"] is None


@given(plays(), ALARMS, st.randoms())
def test_the_order_of_lines_says_nothing(asked: list[Asked], alarms: list[Alarm], random: object) -> None:
    mixed_asked, mixed_alarms = asked.copy(), alarms.copy()
    random.shuffle(mixed_asked)  # type: ignore[attr-defined]
    random.shuffle(mixed_alarms)  # type: ignore[attr-defined]

    assert scored(key(), mixed_asked, mixed_alarms) == scored(key(), asked, alarms)


@given(plays(), ALARMS)
def test_alarms_on_requests_name_nobody(asked: list[Asked], alarms: list[Alarm]) -> None:
    with_all = scored(key(), asked, alarms)
    without = scored(key(), asked, [one for one in alarms if one.scope != "request"])

    assert {**with_all, "alarms": None} == {**without, "alarms": None}


@given(plays(), ALARMS, ALARMS)
def test_more_alarms_never_serve_more_nor_catch_less(asked: list[Asked], some: list[Alarm], more: list[Alarm]) -> None:
    few, many = scored(key(), asked, some), scored(key(), asked, some + more)

    for name, row in few["campaign"].items():
        later = many["campaign"][name]
        assert later["answered_until_caught"] <= row["answered_until_caught"]
        assert later["caught"] >= row["caught"]
        if row["is_noticed"]:
            assert later["exchanges_until_noticed"] <= row["exchanges_until_noticed"]
    for kind, row in few["class"].items():
        assert many["class"][kind]["alarmed"] >= row["alarmed"]


@given(plays(), ALARMS)
def test_shares_are_those_of_a_plain_count(asked: list[Asked], alarms: list[Alarm]) -> None:
    stops = {
        name: min((one.at for one in alarms if one.scope != "request" and name in one.accounts), default=None)
        for name in ASKERS
    }
    score = scored(key(), asked, alarms)

    for campaign, row in score["campaign"].items():
        mine = [one for one in asked if one.is_own and KEY[one.account].campaign == campaign]
        through = [one for one in mine if stops[one.account] is None or one.at <= stops[one.account]]
        assert row["own"] == len(mine)
        assert row["answered_until_caught"] == sum(one.status == 200 for one in through)
    named = {name for name, at in stops.items() if at is not None}
    assert score["accounts"]["named"] == len(named)
    assert score["accounts"]["caught"] == sum(bool(KEY[name].campaign) for name in named)


def test_alarms_of_another_drill_are_an_error_and_a_few_strangers_are_counted() -> None:
    asked = own("n1", 1)
    with pytest.raises(InputError, match="no account of this drill"):
        scored(key(), asked, [alarm(1, "somebody")])

    score = scored(key(), asked, [alarm(1, "somebody"), alarm(2, "n1")])
    assert score["alarms"]["unknown_accounts"] == 1
    assert score["accounts"]["precision"]["share"] == 1.0


def test_an_exchange_of_nobody_in_the_key_is_an_error() -> None:
    with pytest.raises(InputError, match="keep the folders of one drill together"):
        scored(key(), own("nobody", 1), [])
