"""What detection finds and whom it wrongs: `python benchmarks/detection.py [--quick] [--part NAME]`.

Worlds are made by the drills from seeds that nothing was tuned on. The first days of each world are ordinary and make
the reference; the days after that are watched.

- False alarms: a month of reference and a month of watching without any campaign, every class of customer; alarms on an
  account by itself or as one of a campaign.
- Campaigns: a day of watching. `wide_shallow` with its accounts blocked as soon as they are attributed; `pure`,
  `camouflage_25` and `relay` in worlds of their own, watched only.
- Memory: resident bytes of each of 100,000 accounts, and the time of one pass over all of them.
- Scale: the replay of one log by one process, and by two shards on a Ray cluster of two nodes on this machine; the
  alarms must be the same bytes.
- Speed: exchanges a CPU second of watching, embedding included; bytes remembered of an account.

Companies ask a hundredth of what real ones do (`volume`) and, in the long worlds, less than that (`rate`), so that a
month fits. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


import numpy as np

from spiritsafe.drills.cast import cast
from spiritsafe.drills.logged import played
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.watch.accounts import FIRST_LOOK, MOST_STATE_BYTES, Crowd
from spiritsafe.guard.watch.calibrate import calibrate
from spiritsafe.guard.watch.cluster import cluster
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.logs import Logs
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.replay import ALARMS, replay
from spiritsafe.guard.watch.watch import Levels, Watch
from spiritsafe.stats.intervals import wilson

DAY_S = 86_400.0
HARD = {
    "nightly_batch": 0.02,
    "labelling": 0.02,
    "evaluation": 0.1,
    "retrieval": 0.1,
    "judge": 0.1,
    "coding_agent": 0.1,
    "coursework": 1.0,
    "reseller": 0.05,
    "licensed": 0.05,
    "migration": 0.1,
    "hackathon": 0.1,
}
CONTENT_HABITS = ("prompt_distance", "narrow", "one_template")
PRESETS = {"pure": 2.0, "camouflage_25": 0.5, "relay": 0.02}
"""By preset: how many times its accounts; `pure` has 20 and is doubled by its own field."""


def people(ordinary: int, each: int, rate: float) -> dict[str, Any]:
    crowd = {name: {"accounts": each, "rate": usual} for name, usual in HARD.items()}
    return {"ordinary": {"accounts": ordinary, "rate": rate}, **crowd}


def world(seed: int, days: float, crowd: dict[str, Any], campaign: list[dict[str, Any]]) -> Scenario:
    rows = {"seed": seed, "days": days, "people": crowd, "campaign": campaign}
    return Scenario.model_validate(rows | {"new_model": {"name": "large-2", "day": days * 0.75}})


def before(scenario: Scenario, at: float) -> Iterator[Exchange]:
    made = played(cast(scenario), at)
    return takewhile(lambda one: one.at < at, (exchange for _, exchange in made))


def reference_of(scenario: Scenario, days: float) -> Reference:
    # Made anew for each of the two passes: a month of exchanges would not fit in memory.
    return calibrate(lambda: before(scenario, scenario.starts_at + days * DAY_S))


class Study:
    """One world watched from a day on."""

    def __init__(self, scenario: Scenario, from_day: float, spent: Counter[str], *, blocks: bool = False) -> None:
        reference = reference_of(scenario, from_day)
        made = cast(scenario)
        self.key, self.watch = made.key, Watch(reference)
        self.accused: dict[str, float] = {}
        self.by_itself: set[str] = set()
        self.own: dict[str, list[float]] = {}
        self.served: Counter[str] = Counter()
        self.pooled_at: dict[str, int] = {}
        self._all: Counter[str] = Counter()
        since = scenario.starts_at + from_day * DAY_S
        blocked = (lambda name, at: at > self.accused.get(name, at)) if blocks else None
        stream = self._counted(played(made, scenario.ends_at, blocked), since)
        for number, held in epochs(stream):
            start = time.process_time()
            alarms = self.watch.epoch(number, held)
            spent["watch_s"] += time.process_time() - start
            spent["watched"] += len(held)
            for alarm in alarms:
                self._note(alarm.scope, alarm.accounts, alarm.at)

    def _counted(self, made: Iterator[Any], since: float) -> Iterator[Exchange]:
        for cue, exchange in made:
            if exchange.at < since:
                continue
            campaign = self.key.accounts[exchange.account].campaign
            self._all[campaign] += 1
            is_served = exchange.at <= self.accused.get(exchange.account, exchange.at)
            if cue.ask.campaign:
                self.own.setdefault(exchange.account, []).append(exchange.at)
                self.served[campaign] += is_served
            yield exchange

    def _note(self, scope: str, accounts: tuple[str, ...], at: float) -> None:
        if scope == "account":
            self.by_itself.update(accounts)
        if scope != "campaign":
            return
        for name in accounts:
            self.accused.setdefault(name, at)
            campaign = self.key.accounts[name].campaign
            if campaign:
                self.pooled_at.setdefault(campaign, self._all[campaign])

    def asked(self) -> dict[str, list[str]]:
        return {name: [a for a in accounts if a in self.own] for name, accounts in self.key.campaigns().items()}


def share(hits: int, of: int) -> list[float]:
    if not of:
        return [0.0, 0.0, 1.0]
    found = wilson(hits, of)
    return [round(hits / of, 5), round(found.low, 5), round(found.high, 5)]


def false_alarms(seeds: list[int], sizes: tuple[int, int], month: float, spent: Counter[str]) -> dict[str, Any]:
    there: Counter[str] = Counter()
    wronged: Counter[str] = Counter()
    for seed in seeds:
        study = Study(world(seed, 2 * month, people(*sizes, 0.03), []), month, spent)
        for name, truth in study.key.accounts.items():
            if name in study.watch.accounts.sketches.slot_of:
                there[truth.kind] += 1
                wronged[truth.kind] += name in study.accused or name in study.by_itself
        print(
            f"seed {seed}: {study.watch.seen:,} exchanges, void: {sorted(set(study.watch.voids.values()))}; wronged so "
            f"far: {', '.join(f'{kind} {wronged[kind]} of {count}' for kind, count in there.most_common())}",
            flush=True,
        )
    print(f"\nfalse alarms an account in {month:g} days\nclass            accounts  wronged  share [95 %]")
    for kind, count in there.most_common():
        low = share(wronged[kind], count)
        print(f"{kind:<15} {count:>9,} {wronged[kind]:>8,}  {low[0]:.2%} [{low[1]:.2%}, {low[2]:.2%}]")
    return {kind: share(wronged[kind], count) for kind, count in there.items()}


def preset(seeds: list[int], accounts: int, crowd: dict[str, Any], spent: Counter[str]) -> dict[str, Any]:
    """The 25,000 accounts, scaled down, blocked when attributed."""
    caught = named = right = everybody = served = asked = 0
    found_h = []
    for seed in seeds:
        table = {"name": "wide", "preset": "wide_shallow", "scale": accounts / 24_975, "day": 2.0}
        study = Study(world(seed, 3.0, crowd, [table]), 2.0, spent, blocks=True)
        mine = study.asked().get("wide", [])
        caught += sum(name in study.accused for name in mine)
        everybody += len(mine)
        named += len(study.accused)
        right += sum(study.key.accounts[name].campaign == "wide" for name in study.accused)
        served += study.served["wide"]
        asked += round(accounts * 26 * 45)
        start = min(at for name in mine for at in study.own[name])
        found_h.append((min(study.accused.values(), default=start + DAY_S) - start) / 3600)
    print(
        f"\nwide_shallow, {accounts:,} of 24,975 accounts, {len(seeds)} seeds: {caught} of {everybody} accounts "
        f"attributed, "
        f"{right} of {named} named are its; found after {median(found_h):.1f} h; "
        f"{served:,} of {asked:,} exchanges of 45 days served"
    )
    return {
        "preset_served_share": share(served, asked),
        "preset_recall": share(caught, everybody),
        "preset_precision": share(right, named),
        "preset_hours_to_find": [round(one, 2) for one in found_h],
    }


def shapes(seeds: list[int], crowd: dict[str, Any], spent: Counter[str]) -> dict[str, Any]:
    """Campaigns that are only watched, each in a world of its own."""
    rows: dict[str, dict[str, Any]] = {name: {} for name in PRESETS}
    for name, scale in PRESETS.items():
        for seed in seeds:
            table: dict[str, Any] = {"name": name, "preset": name, "scale": min(scale, 1.0), "day": 2.0}
            if name == "pure":
                table["accounts"] = 40
            study = Study(world(seed, 3.0, crowd, [table]), 2.0, spent)
            mine = study.asked().get(name, [])
            to_catch = [sum(at <= study.accused[one] for at in study.own[one]) for one in mine if one in study.accused]
            row = rows[name]
            row.setdefault("pooled", []).append(study.pooled_at.get(name, float("inf")))
            row.setdefault("caught", []).append(len(to_catch) / max(1, len(mine)))
            row.setdefault("own", []).extend(to_catch)
            wrong = [one for one in study.accused if not study.key.accounts[one].campaign]
            row.setdefault("wrong", []).append(len(wrong))
            if name == "relay":
                row.setdefault("alone", []).append(of_relays(study, name))
    for name, row in rows.items():
        own = sorted(row["own"])
        print(
            f"{name}: pooled exchanges until found {row['pooled']}, share of accounts caught "
            f"{[round(one, 2) for one in row['caught']]}, own exchanges of an account until caught: median "
            f"{median(own) if own else '-'}, 95 % {own[int(0.95 * len(own))] if own else '-'}; honest accounts named "
            f"{row['wrong']}"
        )
    return rows


def area(mine: list[float], others: list[float]) -> list[float]:
    """The chance that one of `mine` is above one of the others, with its 95 % interval (Hanley and McNeil 1982)."""
    if not mine or not others:
        return [0.5, 0.0, 1.0]
    above = np.array(mine)[:, None] - np.array(others)[None]
    auc = float(np.mean((above > 0) + 0.5 * (above == 0)))
    both, other = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    variance = (auc * (1 - auc) + (len(mine) - 1) * both + (len(others) - 1) * other) / (len(mine) * len(others))
    reach = 1.96 * max(variance, 0.0) ** 0.5
    return [round(auc, 3), round(max(0.0, auc - reach), 3), round(min(1.0, auc + reach), 3)]


def of_relays(study: Study, campaign: str) -> dict[str, Any]:
    """What prompts tell of accounts that pass on other people's, and what client facts alone do."""
    watch = study.watch
    mine = {name for name in study.asked().get(campaign, []) if name in watch.accounts.sketches.slot_of}
    ordinary = {name for name, one in study.key.accounts.items() if one.kind == "ordinary" and not one.campaign}
    sketches = watch.accounts.sketches

    def scores(who: set[str], habit: Any) -> list[float]:
        # As they stand at the end: the largest ever is larger for those who were looked at more often.
        slots = [slot for name in sorted(who) if (slot := sketches.slot_of.get(name)) is not None]
        some = np.array([slot for slot in slots if sketches.columns["seen"][slot] >= FIRST_LOOK], dtype=np.int64)
        return [float(one) for one in habit.scores(sketches, some, watch.accounts.ordinary)]

    areas = {one.name: area(scores(mine, one), scores(ordinary, one)) for one in HABITS if one.name in CONTENT_HABITS}
    found = [set(lead.accounts) for lead in watch.leads()]
    named = set().union(*found)
    mostly = set().union(*(one for one in found if 2 * len(one & mine) > len(one)))
    print(f"{campaign}: areas under the curve against ordinary accounts: {areas}")
    print(
        f"{campaign}: {len(found)} leads of {len(named)} accounts, {len(named & mine)} of its {len(mine)} among them; "
        f"in those that are mostly its: {len(mostly & mine)} of {len(mostly)}"
    )
    return {
        "relay_content_auc": areas,
        "relay_leads_recall": share(len(named & mine), len(mine)),
        "relay_leads_precision": share(len(named & mine), len(named)),
    }


def memory(accounts: int) -> dict[str, Any]:
    """Many accounts of a few exchanges each: resident bytes an account, and the time of a pass over all of them."""
    scenario = world(77, 0.5, people(200, 2, 0.5), [])
    watch = Watch(reference_of(scenario, 0.5))
    prompts = list(islice(before(scenario, scenario.ends_at), 5_000))
    size = _resident()
    for turn in range(2):
        for start in range(0, accounts, 50_000):
            some = range(start, min(accounts, start + 50_000))
            at = scenario.ends_at + (turn * accounts + start) // 50_000 * 600.0
            held = [
                replace(prompts[(7 * n + turn) % len(prompts)], account=f"a{n}", at=at + n % 600, id=f"{turn}-{n}")
                for n in some
            ]
            watch.epoch(int(at // 600), held)
    start_s = time.process_time()
    watch.look_for_campaigns(scenario.ends_at + DAY_S)
    pass_s = time.process_time() - start_s
    each = (_resident() - size) / accounts
    most_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(
        f"{accounts:,} accounts: {each:,.0f} resident bytes each, at most {most_gb:.1f} GB in all; "
        f"a pass over all of them takes {pass_s:.1f} CPU s"
    )
    sizes = {"resident_bytes": round(each), "resident_gb": round(most_gb, 1)}
    return {"accounts": accounts, "pass_s": round(pass_s, 1), **sizes}


def scale(crowd: dict[str, Any]) -> dict[str, Any]:
    """One process against two shards, each on a node of its own."""
    # Imported here: it takes a second, and no other part wants it.
    from ray.cluster_utils import Cluster

    campaign = {"name": "north", "preset": "pure", "accounts": 40, "day": 1.0}
    scenario = world(55, 2.0, crowd, [campaign])
    reference = reference_of(scenario, 1.0)
    with TemporaryDirectory() as folder:
        log = Path(folder, "log.jsonl")
        since = scenario.starts_at + DAY_S
        made = played(cast(scenario), scenario.ends_at)
        log.write_bytes(b"".join(dumps(one) + b"\n" for _, one in made if one.at >= since))
        rows = [_replayed("one process", log, reference, Path(folder, "one"), nullcontext())]
        node = {"num_cpus": 1, "object_store_memory": 200_000_000}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        nodes = Cluster(initialize_head=True, connect=False, head_node_args=node | {"include_dashboard": False})
        try:
            nodes.add_node(**node)
            nodes.wait_for_nodes()
            on_nodes = cluster(nodes.address, reference, 2)
            rows.append(_replayed("two shards", log, reference, Path(folder, "two"), on_nodes))
        finally:
            nodes.shutdown()
        one, two = ((Path(folder, name) / ALARMS).read_bytes() for name in ("one", "two"))
    assert one == two, "shards have raised other alarms than one process"
    print(f"the alarms are the same {len(one):,} bytes")
    return {"scale_wall_s": [row[0] for row in rows], "scale_cpu_s": [row[1] for row in rows]}


def _replayed(
    said: str, log: Path, reference: Reference, out: Path, accounts: AbstractContextManager[Crowd | None]
) -> tuple[float, float]:
    """(Seconds, processor seconds) of a replay."""
    # Levels that such a small reference can promise, so that all kinds of alarms are compared.
    levels = Levels(request=0.02, account=0.02)
    with accounts as crowd:
        start_s = time.monotonic()
        summary = replay(Logs([log]), reference, out, levels, lambda seen: None, crowd)
        wall_s = time.monotonic() - start_s
        elsewhere_s = crowd.cpu_elsewhere_s if crowd else 0.0
    cpu_s = summary["exchanges"] / summary["exchanges_per_cpu_s"]
    print(
        f"{said}: {summary['exchanges']:,} exchanges in {wall_s:.1f} s, {cpu_s:.1f} CPU s, "
        f"{elsewhere_s:.1f} of these in shards; alarms {summary['alarms']}",
        flush=True,
    )
    return round(wall_s, 1), round(cpu_s, 1)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[901, 902, 903])
    parser.add_argument("--part", choices=("all", "false", "campaigns", "memory", "scale"), default="all")
    parser.add_argument("--accounts", type=int, help="for memory; 100,000 unless given, 20,000 with --quick")
    options = parser.parse_args()
    seeds = options.seeds[:1] if options.quick else options.seeds
    spent: Counter[str] = Counter()
    last: dict[str, Any] = {}
    if options.part in ("all", "false"):
        sizes, month = ((300, 10), 3.0) if options.quick else ((1_800, 25), 30.0)
        # A seed takes a quarter of an hour: all of them where nothing else was asked for.
        some = seeds if options.part == "false" else seeds[:1]
        last["false_alarms_per_account_30d"] = false_alarms(some, sizes, month, spent)
    if options.part in ("all", "campaigns"):
        crowd = people(300, 6, 0.5) if options.quick else people(700, 10, 0.5)
        last |= preset(seeds, 100 if options.quick else 500, crowd, spent)
        rows = shapes(seeds, crowd, spent)
        own = sorted(rows["pure"]["own"])
        last["exchanges_to_detect_pure"] = [median(own), own[int(0.95 * len(own))]] if own else None
        last["exchanges_to_detect_quarter"] = rows["camouflage_25"]["pooled"]
        last["relay_caught"] = rows["relay"]["caught"]
        alone = rows["relay"]["alone"]
        last |= {name: [of_seed[name] for of_seed in alone] for name in alone[0]}
    if options.part in ("all", "memory"):
        last |= memory(options.accounts or (20_000 if options.quick else 100_000))
    if options.part in ("all", "scale"):
        last |= scale(people(700, 10, 0.5) if options.quick else people(1_800, 25, 0.8))
    last["replay_per_core_s"] = round(spent["watched"] / max(spent["watch_s"], 1e-9))
    last["state_bytes"] = MOST_STATE_BYTES
    print(json.dumps(last))


if __name__ == "__main__":
    main()
