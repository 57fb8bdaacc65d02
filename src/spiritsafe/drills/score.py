"""Score: what alarms were worth, held against the answer key. Pure.

    scored(key, asked, alarms)

An alarm of scope account or campaign *names* its accounts; one of scope request is reported apart and names nobody. An
account is *caught* by the first alarm that names it, a campaign is *noticed* by the first that names one of its
accounts, and *caught* once `CAUGHT_SHARE` of them have been named. The exchange that raised an alarm was answered
before anybody looked at it, so it counts as served.

Only accounts that asked at all are counted. Shares come with Wilson intervals; those take accounts for independent
draws, which accounts of one campaign or one class of students are not: for a handful of them the intervals are too
narrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from typing import Any, NamedTuple

from spiritsafe.drills.alarms import Alarm
from spiritsafe.drills.key import ATTACKER, AnswerKey
from spiritsafe.errors import InputError
from spiritsafe.stats.intervals import wilson

SCORE_VERSION = 1

CAUGHT_SHARE = 0.5
"""Of a campaign's accounts: once half of them are named, it is caught and not only noticed."""

REFUSED = frozenset({401, 402, 403, 429, 451})
"""Statuses by which an account is told no; all others are trouble that would meet anybody."""


class Asked(NamedTuple):
    """One exchange, as far as a score looks at it.

    Attributes:
        account: whose.
        at: unix seconds, in the time of the alarms.
        is_own: whether it was a campaign's own query.
        status: the HTTP status that came back.
    """

    account: str
    at: float
    is_own: bool
    status: int = 200


@dataclass(slots=True)
class _Tally:
    """Of one account: exchanges, refusals; own queries, those answered, and those asked and answered until caught."""

    exchanges: int = 0
    refused: int = 0
    own: int = 0
    served: int = 0
    own_until_caught: int = 0
    served_until_caught: int = 0

    def add(self, asked: Asked, caught_at: float) -> None:
        """One more exchange of the account, which is caught at `caught_at`."""
        self.exchanges += 1
        self.refused += asked.status in REFUSED
        if not asked.is_own:
            return
        is_served = asked.status == 200
        self.own += 1
        self.served += is_served
        if asked.at <= caught_at:
            self.own_until_caught += 1
            self.served_until_caught += is_served


@dataclass(slots=True)
class _Campaign:
    """Of one campaign: when it was noticed, when it first asked, and how many own queries it had until noticed."""

    noticed_at: float
    began_at: float = inf
    own_until_noticed: int = 0

    def add(self, asked: Asked) -> None:
        """One more own query."""
        self.began_at = min(self.began_at, asked.at)
        self.own_until_noticed += asked.at <= self.noticed_at


@dataclass(slots=True)
class _Counts:
    """What one pass over the exchanges finds."""

    accounts: dict[str, _Tally] = field(default_factory=dict)
    campaigns: dict[str, _Campaign] = field(default_factory=dict)


Row = dict[str, Any]


def scored(key: AnswerKey, asked: Iterable[Asked], alarms: Sequence[Alarm]) -> Row:
    """The score of `alarms` on the exchanges `asked`, as JSON.

    Args:
        key: what every account was.
        asked: every exchange, in any order; read once.
        alarms: in any order.

    Returns:
        `alarms`, `accounts`, `campaigns` (of all), `campaign` (by name) and `class` (of honest accounts, by name); see
        docs/how/drills.md. What cannot be told, such as the precision of no alarm, is None.

    Raises:
        InputError: an exchange's account is not in the key, or the alarms name accounts and the key knows none of them.
    """
    naming = [alarm for alarm in alarms if alarm.scope != "request"]
    caught = _first_named(naming)
    unknown = caught.keys() - key.accounts.keys()
    if caught and len(unknown) == len(caught):
        raise InputError("the alarms name no account of this drill; give the alarms that were raised on its own log")
    counts = _counted(key, asked, caught)
    by_campaign = _by_campaign(key, counts)
    campaigns = {
        name: _campaign(accounts, naming, counts, counts.campaigns[name], caught)
        for name, accounts in by_campaign.items()
    }
    return {
        "v": SCORE_VERSION,
        "alarms": _alarms_row(key, alarms, unknown),
        "accounts": _accounts_row(key, counts, caught.keys() - unknown),
        "campaigns": _campaigns_row(campaigns),
        "campaign": campaigns,
        "class": _classes(key, counts, caught),
    }


def caught_at(alarms: Iterable[Alarm]) -> dict[str, float]:
    """When each account that was caught was caught, by its name."""
    return _first_named(alarm for alarm in alarms if alarm.scope != "request")


def _first_named(alarms: Iterable[Alarm]) -> dict[str, float]:
    first: dict[str, float] = {}
    for alarm in alarms:
        for account in alarm.accounts:
            first[account] = min(alarm.at, first.get(account, inf))
    return first


def _counted(key: AnswerKey, asked: Iterable[Asked], caught: Mapping[str, float]) -> _Counts:
    counts = _Counts()
    for name, accounts in key.campaigns().items():
        counts.campaigns[name] = _Campaign(min(caught.get(account, inf) for account in accounts))
    for one in asked:
        truth = key.accounts.get(one.account)
        if truth is None:
            raise InputError(
                f"account {one.account!r} is not in the answer key; keep the folders of one drill together"
            )
        counts.accounts.setdefault(one.account, _Tally()).add(one, caught.get(one.account, inf))
        if one.is_own and truth.campaign in counts.campaigns:
            counts.campaigns[truth.campaign].add(one)
    return counts


def _by_campaign(key: AnswerKey, counts: _Counts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for account in sorted(counts.accounts):
        if campaign := key.accounts[account].campaign:
            found.setdefault(campaign, []).append(account)
    return found


def _campaign(
    accounts: Sequence[str], naming: Sequence[Alarm], counts: _Counts, whole: _Campaign, caught: Mapping[str, float]
) -> Row:
    tallies = [counts.accounts[account] for account in accounts]
    found = [account for account in accounts if account in caught]
    own, served = sum(one.own for one in tallies), sum(one.served for one in tallies)
    until = sum(one.served_until_caught for one in tallies)
    named = _named_with(set(accounts), naming)
    is_noticed = bool(found)
    return {
        "accounts": len(accounts),
        "caught": len(found),
        "recall": share(len(found), len(accounts)),
        "precision": share(len(named & set(accounts)), len(named)),
        "is_noticed": is_noticed,
        "is_caught": len(found) >= CAUGHT_SHARE * len(accounts),
        "own": own,
        "exchanges_until_noticed": whole.own_until_noticed if is_noticed else None,
        "seconds_until_noticed": max(0.0, whole.noticed_at - whole.began_at) if _timed(whole, is_noticed) else None,
        "exchanges_until_caught": median(counts.accounts[one].own_until_caught for one in found) if found else None,
        "answered": served,
        "answered_share": served / own if own else None,
        "answered_until_caught": until,
        "answered_until_caught_share": until / own if own else None,
    }


def _timed(whole: _Campaign, is_noticed: bool) -> bool:
    """Whether there is a time from its first own query to the first alarm; it may have been noticed by its cover."""
    return is_noticed and whole.began_at < inf


def _named_with(accounts: set[str], naming: Sequence[Alarm]) -> set[str]:
    """All accounts in alarms that name at least one of `accounts`."""
    named: set[str] = set()
    for alarm in naming:
        if not accounts.isdisjoint(alarm.accounts):
            named.update(alarm.accounts)
    return named


def _alarms_row(key: AnswerKey, alarms: Sequence[Alarm], unknown: set[str]) -> Row:
    scopes = Counter(alarm.scope for alarm in alarms)
    kinds = Counter(_kind(key, alarm.accounts[0]) for alarm in alarms if alarm.scope == "request")
    return {
        **{scope: scopes[scope] for scope in ("request", "account", "campaign")},
        "request_by_class": dict(sorted(kinds.items())),
        "void": dict(sorted(Counter(name for alarm in alarms for name in alarm.void_names).items())),
        "unknown_accounts": len(unknown),
    }


def _kind(key: AnswerKey, account: str) -> str:
    truth = key.accounts.get(account)
    return truth.kind if truth else "unknown"


def _accounts_row(key: AnswerKey, counts: _Counts, named: set[str]) -> Row:
    attackers = {account for account in counts.accounts if key.accounts[account].kind == ATTACKER}
    caught = len(attackers & named)
    return {
        "attackers": len(attackers),
        "caught": caught,
        "named": len(named),
        "recall": share(caught, len(attackers)),
        "precision": share(caught, len(named)),
    }


def _campaigns_row(campaigns: Mapping[str, Row]) -> Row:
    noticed, caught = (sum(row[name] for row in campaigns.values()) for name in ("is_noticed", "is_caught"))
    return {
        "campaigns": len(campaigns),
        "noticed": noticed,
        "caught": caught,
        "recall": share(caught, len(campaigns)),
        **{name: _over_all(campaigns, name) for name in ("answered_share", "answered_until_caught_share")},
    }


def _over_all(campaigns: Mapping[str, Row], name: str) -> float | None:
    own = sum(row["own"] for row in campaigns.values())
    return sum(row[name.removesuffix("_share")] for row in campaigns.values()) / own if own else None


def _classes(key: AnswerKey, counts: _Counts, caught: Mapping[str, float]) -> dict[str, Row]:
    groups: dict[str, list[str]] = {}
    for account in counts.accounts:
        groups.setdefault(key.accounts[account].kind, []).append(account)
    groups.pop(ATTACKER, None)
    return {kind: _class(accounts, counts, caught) for kind, accounts in sorted(groups.items())}


def _class(accounts: Sequence[str], counts: _Counts, caught: Mapping[str, float]) -> Row:
    alarmed = sum(account in caught for account in accounts)
    tallies = [counts.accounts[account] for account in accounts]
    return {
        "accounts": len(accounts),
        "alarmed": alarmed,
        "false_alarms": share(alarmed, len(accounts)),
        "exchanges": sum(one.exchanges for one in tallies),
        "refused": sum(one.refused for one in tallies),
        "accounts_refused": sum(one.refused > 0 for one in tallies),
    }


def share(part: int, whole: int) -> dict[str, float] | None:
    """`part` of `whole` with its Wilson interval at 95 %; None of nothing."""
    if not whole:
        return None
    found = wilson(part, whole)
    return {"share": found.estimate, "low": found.low, "high": found.high}
