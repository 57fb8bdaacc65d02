"""Replay: every detector over logs, with the alarms in one file and what can and cannot be said of them in another.

OUT/alarms.jsonl     one alarm a line, by time
OUT/summary.json     what was read, what was raised, what could not fire and why
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.exchanges.atomic import replacing
from spiritsafe.guard.watch.accounts import MOST_STATE_BYTES, Crowd
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.logs import Logs
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.watch import Levels, Watch

ALARMS, SUMMARY = "alarms.jsonl", "summary.json"


def replay(
    logs: Logs,
    reference: Reference,
    out: Path,
    levels: Levels,
    on_epoch: Callable[[int], None],
    accounts: Crowd | None = None,
) -> dict[str, Any]:
    """Run every detector over `logs`; write alarms and summary into the folder `out`; give the summary.

    Args:
        logs: what is looked at.
        reference: what is ordinary.
        out: a folder, made if it is not there.
        levels: of false alarms.
        on_epoch: told how many exchanges have been seen, whenever an epoch is over.
        accounts: who remembers, as for `Watch`.

    Raises:
        StoreError: the disk did not take it.
    """
    watch, raised = Watch(reference, levels, accounts), Counter[str]()
    cpu = time.process_time()
    named: dict[str, set[str]] = {}
    with replacing(out / ALARMS) as file:
        for alarms in watch.epochs(epochs(logs)):
            for alarm in alarms:
                file.write(alarm.line())
                raised[alarm.scope] += 1
                named.setdefault(alarm.scope, set()).update(alarm.accounts)
            on_epoch(watch.seen)
    summary = _summary(logs, watch, reference, levels, raised, named)
    spent = time.process_time() - cpu + watch.accounts.cpu_elsewhere_s
    summary["exchanges_per_cpu_s"] = round(watch.seen / max(spent, 1e-9))
    with replacing(out / SUMMARY) as file:
        file.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    return summary


def _summary(
    logs: Logs, watch: Watch, reference: Reference, levels: Levels, raised: Counter[str], named: dict[str, set[str]]
) -> dict[str, Any]:
    passed = logs.passed
    return {
        "exchanges": watch.seen,
        "accounts": len(watch.accounts.known),
        "alarms": dict(sorted(raised.items())),
        "accounts_named": {scope: len(names) for scope, names in sorted(named.items())},
        "campaigns": [
            {
                "id": one.id,
                "accounts": len(one.accounts),
                "found_at": one.found_at,
                "e_value": one.verdict.e_value,
                "values": len(one.odds),
            }
            for one in watch.campaigns
        ],
        "communities_tested": len(watch.tested),
        "leads": [one.row for one in watch.leads()],
        "levels": {
            "request": levels.request,
            "account": levels.account,
            "account_fdr": levels.account_fdr,
            "campaign_fdr": levels.campaign,
        },
        "accounts_held": watch.held,
        "void": sorted(set(watch.voids.values())),
        "passed_over": {reason: {"lines": n, "first": passed.first[reason]} for reason, n in passed.reasons.items()},
        "duplicates": passed.duplicates,
        "unordered": passed.unordered,
        "reference": {
            "days": reference.days,
            "exchanges": reference.exchanges,
            "accounts": {name: ranks.accounts for name, ranks in reference.segments.items()},
        },
        "state_bytes": MOST_STATE_BYTES,
    }
