"""The evidence of a campaign, in words and numbers that a person can check."""

from __future__ import annotations

import math
from collections import Counter

from spiritsafe.guard.campaigns.links import kind_of
from spiritsafe.guard.campaigns.roster import Campaign
from spiritsafe.guard.watch.alarms import Reason

_TELLS = {
    "template": "templates that many of them share and few ordinary accounts have",
    "cell": "kinds of question that many of them ask and few ordinary accounts do",
    "payment": "means of payment",
    "email_domain": "mail domains",
    "ip": "addresses",
    "asn": "networks",
    "ja4": "TLS fingerprints",
    "user_agent": "client programs",
    "org": "organisations",
    "start": "hours in which many of them began, and few others",
}


def evidence_of(campaign: Campaign, accounts: int, exchanges: tuple[str, ...]) -> tuple[Reason, ...]:
    """What a campaign's alarm rests on: the two tests, what links its accounts, and when they ask."""
    verdict = campaign.verdict
    kinds = Counter(kind_of(key) for key in campaign.odds)
    strongest = {kind: max(odds for key, odds in campaign.odds.items() if kind_of(key) == kind) for kind in kinds}
    tests = (
        Reason(
            "alike",
            verdict.alike,
            f"{verdict.share:.0%} of a member's prompts that were not used to find it show its templates or kinds of "
            f"question, in the median; e-value {verdict.alike:.3g} among ordinary accounts",
            exchanges,
        ),
        Reason(
            "harvest",
            verdict.harvests,
            f"{verdict.single:.0%} of a member's prompts are first turns that no member has asked before; "
            f"{verdict.shared:.1%} are shared; e-value {verdict.harvests:.3g} among ordinary accounts",
            exchanges,
        ),
        Reason(
            "lockstep",
            1 / verdict.lockstep_p,
            f"within the hours of each, they ask at common times with p = {verdict.lockstep_p:.3g}",
        ),
    )
    links = tuple(
        Reason(
            f"link:{kind}",
            odds,
            f"{kinds[kind]} {_TELLS[kind]}; the most telling has {math.exp(odds):,.0f} times as many carriers as "
            "expected",
        )
        for kind, odds in sorted(strongest.items(), key=lambda pair: -pair[1])
    )
    return (*tests, *links, Reason("accounts", float(accounts), f"{accounts:,} accounts attributed now"))
