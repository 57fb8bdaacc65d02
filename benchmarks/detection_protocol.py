"""The published windowed detector and ours on the same public prompts: `detection_protocol.py DATA [--quick]`.

- Protocol: the paper's MMD (arXiv 2606.05725, `stats.windows`) as published, on 14 pairs of ordinary and attacking
  queries built here from the sets in DATA (jsonl.gz, named in `corpus`); the embeddings are WordLlama's, not BGE's. A
  set too small for windows of 1,500 has smaller ones: 80 % of its held-out queries. Attacker sets smaller than what a
  window takes are drawn with replacement, as the paper does.
- Other tenants: the same calibration, on honest traffic of another set and on honest mixtures of k of 150 intents.
- Ours: honest tenants without a text in common, each with interests of its own. One account's distance is ranked among
  tenants (`stats.conformal`); a group of accounts is tested for likeness (`stats.likeness`). Then both detectors on the
  very same groups.

Nothing was chosen on the seeds that a full run reports; `--quick` and the work on this file use another. The last
line is JSON; a share comes as [share, low, high], a Wilson interval at 95 %, or a bootstrap over pairs where it is
their mean.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spiritsafe.stats.conformal import Reference
from spiritsafe.stats.fourier import FourierMap, MeanSketch
from spiritsafe.stats.intervals import wilson
from spiritsafe.stats.likeness import Metric, group_p
from spiritsafe.stats.mmd import distance, kernel, median_distance
from spiritsafe.stats.windows import Windows
from spiritsafe.text.embed import embed

Rows: TypeAlias = NDArray[np.int64]
Rng: TypeAlias = np.random.Generator

SEEDS, QUICK_SEEDS = (1, 20, 42), (907,)
SHARES = (0.05, 0.10, 0.25, 0.50, 1.0)
WINDOW, MOST = 1500, 10_000  # queries in a window; queries of a normal set, as in most of the paper's
PAIRS = {
    "maths": ("salad", "sentences", "leeching", "open", "nearest"),
    "assistant": ("salad", "sentences", "open", "nearest"),
    "reasoning": ("salad", "maths"),
    "reading": ("leeching", "passages"),
    "reviews": ("nearest",),
}
READING = ("quoref", "cosmos", "samsum", "sciq", "qasc", "wiki_hop")
REVIEWS = ("amazon", "imdb", "rotten", "yelp")
INTENTS = (5, 10, 25, 50, 75, 100, 125, 150)
LEECH = (
    'Context: {0}\nList five questions this context answers, each with its answer, as JSON {{"question", "answer"}}.'
)

KINDS = {
    "assistant": 0.42,
    "maths": 0.14,
    "reasoning": 0.10,
    "batch": 0.12,
    "pipeline": 0.10,
    "open": 0.02,
    "mixed": 0.10,
}
"""Kinds of honest tenants and how common each is; `batch` is one template over many records."""
TENANTS = {"learn": (300, 40), "rank": (200, 80), "test": (220, 80)}
"""Tenants with each role, and the queries of each. Every one is chosen in the same way and in mixed order."""
LONG, AGE = 80, 40
FREQUENCIES = 96
GRID = {
    1.0: (1, 2, 4, 8),
    0.5: (2, 4, 8, 16),
    0.25: (4, 8, 16, 32),
    0.10: (10, 20, 40, 80),
    0.05: (20, 40, 80),
}
"""Queries of each account, by attacker share."""
LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts without repetition, their embeddings, and which topic each is of ("clinc:timer", "t0:imdb_…")."""

    texts: list[str]
    vectors_nd: NDArray[np.float32]
    topics: list[str]

    def rows(self, *prefixes: str) -> Rows:
        return np.array([row for row, topic in enumerate(self.topics) if topic.startswith(prefixes)], dtype=np.int64)


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def corpus(folder: Path, rng: Rng) -> Corpus:
    """All sets, and the attackers' own texts (topics that start with "@"), made of those that no normal set uses."""
    found: dict[str, str] = {}

    def add(topic: str, texts: Iterable[str]) -> None:
        for text in texts:
            found.setdefault(text.strip(), topic)

    add("gsm8k_test", (row["question"] for row in read(folder, "gsm8k_test")))
    add("gsm8k", (row["question"] for row in read(folder, "gsm8k_train")))
    for row in read(folder, "clinc150"):
        add(f"clinc:{row['intent']}", [row["text"]])
    for row in read(folder, "bbh"):
        add(f"bbh:{row['task']}", [row["input"]])
    alpaca = [row["instruction"] for row in read(folder, "alpaca_eval_prompts")]
    add("@open", alpaca[::2])
    add("@open", (f"{row['instruction']}\n{row['input']}" for row in read(folder, "self_instruct_seeds")))
    add("open:alpaca", alpaca[1::2])
    add("open:arena", (row["prompt"] for row in read(folder, "arena_hard_v01")))
    add("open:mt_bench", (row["turns"][0] for row in read(folder, "mt_bench_questions")))
    passages = []
    for row in read(folder, "t0_templates"):
        if row["template"].startswith(("adversarial_qa", "wiki_bio")):
            passages.append(max(row["prompt"].split("\n"), key=len).strip().strip('",'))
        else:
            add(f"t0:{row['template']}", [row["prompt"]])
    passages = sorted({passage for passage in passages if len(passage.split()) > 40})
    words = np.array(sorted({word for text in found for word in text.split() if word.isalpha()}))
    sentences = sorted({one.strip() for text in passages for one in text.split(". ") if 8 < len(one.split()) < 60})
    add("@salad", (" ".join(rng.choice(words, rng.integers(6, 60))) for _ in range(2_000)))
    add("@sentences", (sentences[at] for at in rng.permutation(len(sentences))[:2_000]))
    add("@leeching", map(LEECH.format, passages[::2]))
    add("@passages", (with_question(passage, rng) for passage in passages[1::2]))
    found.pop("", None)
    return Corpus(list(found), embed(list(found)).vectors_ND, list(found.values()))


def with_question(passage: str, rng: Rng) -> str:
    """A passage and a question of its own words in any order: "wiki" of Krishna et al. 2020."""
    asked = " ".join(rng.choice(passage.split(), 8))
    return f"{passage}\n{rng.choice(['What', 'Who', 'When', 'Where', 'How', 'Why'])} {asked}?"


def normal(data: Corpus, name: str) -> Rows:
    return {
        "maths": lambda: data.rows("gsm8k"),
        "assistant": lambda: data.rows("clinc:"),
        "reasoning": lambda: data.rows("bbh:"),
        "reading": lambda: data.rows(*(f"t0:{one}" for one in READING)),
        "reviews": lambda: data.rows(*(f"t0:{one}" for one in REVIEWS)),
        "instructions": lambda: data.rows("open:", "@open"),
    }[name]()


def attacker(data: Corpus, name: str, ordinary: Rows, rng: Rng) -> Rows:
    """An attacker's queries; "nearest" are those of all other sets that are nearest to 300 ordinary ones (MeaeQ)."""
    if name == "nearest":
        whose = {data.topics[row].split(":")[0] for row in ordinary}
        others = np.array([row for row, topic in enumerate(data.topics) if topic.split(":")[0] not in whose])
        if whose == {"t0"}:
            others = np.append(others, data.rows("t0:ag_news", "t0:gigaword", "t0:kilt", "t0:trec", "t0:wiki_qa"))
        some = data.vectors_nd[rng.choice(ordinary, 300, replace=False)]
        near = np.max(data.vectors_nd[others] @ some.T, axis=1)
        return others[np.argsort(-near, kind="stable")[:2_000]]
    return data.rows("gsm8k") if name == "maths" else data.rows(f"@{name}")


# The paper's detector.


def scores(baseline: Windows, rows_td: NDArray[np.float32], counts_wt: NDArray[np.float32]) -> NDArray[np.float64]:
    """`Windows.score` of many windows of the same rows, of which each kernel value is computed once."""
    inside = np.zeros(len(counts_wt))
    towards_rt = np.zeros((len(baseline.references_rn), len(rows_td)))
    references = baseline.references_rn.astype(np.float32)
    for start in range(0, len(rows_td), 1000):
        piece = slice(start, start + 1000)
        between = kernel(rows_td, rows_td[piece], baseline.bandwidths).astype(np.float32)
        inside += np.einsum("wt,wt->w", counts_wt @ between, counts_wt[:, piece], dtype=np.float64)
        towards_rt[:, piece] = references @ kernel(baseline.pool_nd, rows_td[piece], baseline.bandwidths)
    n, size = counts_wt.sum(axis=1, dtype=np.float64), float(references[0].sum())
    across_wr = (counts_wt @ towards_rt.T) / n[:, None]
    found: NDArray[np.float64] = (inside - n) / (n * (n - 1)) + np.mean(
        baseline.within_r - 2 * across_wr / size, axis=1
    )
    window = np.repeat(np.arange(len(rows_td)), counts_wt[0].astype(np.int64))
    assert abs(baseline.score(rows_td[window]) - found[0]) < 0.02 * baseline.threshold, "not the score of `Windows`"
    return found


def draw(rng: Rng, size: int, total: int) -> NDArray[np.float32]:
    """How often each of `total` queries is in a window of `size`: without replacement where there are enough."""
    return np.bincount(rng.choice(total, size, replace=size > total), minlength=total).astype(np.float32)


def mixed_windows(rng: Rng, own: int, theirs: int, size: int, share: float, count: int) -> NDArray[np.float32]:
    attack = round(size * share)
    return np.array([np.append(draw(rng, size - attack, own), draw(rng, attack, theirs)) for _ in range(count)])


@dataclass(frozen=True, slots=True)
class Calibrated:
    baseline: Windows
    held: Rows
    size: int


def calibrated(data: Corpus, name: str, seed: int, draws: int) -> Calibrated:
    rows = np.random.default_rng(seed).permutation(normal(data, name))[:MOST]
    pool, held = np.split(rows, [round(0.8 * len(rows))])
    size = WINDOW if len(held) >= WINDOW else int(0.8 * len(held) // 50 * 50)
    return Calibrated(Windows.calibrate(data.vectors_nd[pool], window=size, draws=draws, seed=seed), held, size)


def protocol(data: Corpus, seeds: Sequence[int], quick: bool) -> dict[str, object]:
    """The paper's protocol and table, and its false alarms on other sets."""
    windows, draws = (20, 300) if quick else (50, 1000)
    flagged: dict[tuple[str, str], dict[float, list[bool]]] = {}
    sizes: dict[str, int] = {}
    elsewhere: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for seed in seeds:
        known = {name: calibrated(data, name, seed, draws) for name in (*PAIRS, "instructions")}
        sizes = {name: one.size for name, one in known.items()}
        for name, other in ((a, b) for a in known for b in known if a != b):
            base, held = known[name].baseline, known[other].held
            rng = np.random.default_rng([seed, 3])
            size = min(known[name].size, known[other].size)
            some = np.array([draw(rng, size, len(held)) for _ in range(windows // 5)])
            elsewhere[name, other] += (scores(base, data.vectors_nd[held], some) > base.threshold).tolist()
        for name, foe in ((name, foe) for name, foes in PAIRS.items() for foe in foes[: 1 if quick else None]):
            one, rng = known[name], np.random.default_rng([seed, 4])
            theirs = attacker(data, foe, normal(data, name), rng)
            counts = [mixed_windows(rng, len(one.held), len(theirs), one.size, f, windows) for f in (0.0, *SHARES)]
            rows = data.vectors_nd[np.concatenate([one.held, theirs])]
            above = scores(one.baseline, rows, np.concatenate(counts)) > one.baseline.threshold
            kept = flagged.setdefault((name, f"{foe} ({len(theirs):,})"), defaultdict(list))
            for share, part in zip((0.0, *SHARES), np.split(above, len(SHARES) + 1), strict=True):
                kept[share] += part.tolist()
    table = {pair: {share: float(np.mean(some)) for share, some in kept.items()} for pair, kept in flagged.items()}
    print_protocol(table, flagged, sizes)
    means = {f: [row[f] for row in table.values()] for f in (0.0, *SHARES)}
    average = [float(np.mean([row[f] for f in SHARES])) for row in table.values()]
    balanced = [(a + 1 - f) / 2 for a, f in zip(average, means[0.0], strict=True)]
    others = [float(np.mean(some)) for some in elsewhere.values()]
    print("\nThe same calibration on honest windows of another set (rows: calibrated on):")
    print(f"{'':14s}" + "".join(f"{other:>14s}" for other in sizes))
    for name in sizes:
        cells = [f"{np.mean(elsewhere[name, o]):.0%}" if o != name else "-" for o in sizes]
        print(f"{name:14s}" + "".join(f"{cell:>14s}" for cell in cells))
    return {
        "mmd_fpr_same": over_pairs(means[0.0]),
        "mmd_tpr": {f"{f:g}": over_pairs(means[f]) for f in SHARES},
        "mmd_avg_tpr": over_pairs(average),
        "mmd_balanced_accuracy": over_pairs(balanced),
        "mmd_fpr_other": over_pairs(others),
    }


def print_protocol(
    table: dict[tuple[str, str], dict[float, float]],
    flagged: dict[tuple[str, str], dict[float, list[bool]]],
    sizes: dict[str, int],
) -> None:
    print("\nThe paper's MMD by its protocol: share of windows flagged (FPR with its Wilson interval)")
    head = "".join(f"{f'{f:.0%}':>7s}" for f in SHARES)
    print(f"{'normal':12s}{'attacker (queries)':20s}{'window':>7s}{'FPR':>7s}{'95 %':>14s}{head}{'avg':>7s}{'BA':>7s}")
    for (name, foe), row in table.items():
        average = float(np.mean([row[f] for f in SHARES]))
        found = wilson(sum(flagged[name, foe][0.0]), len(flagged[name, foe][0.0]))
        shares = "".join(f"{row[f]:7.3f}" for f in SHARES)
        balanced = f"{average:7.3f}{(average + 1 - row[0.0]) / 2:7.3f}"
        ends = f"{found.low:.3f}-{found.high:.3f}"
        print(f"{name:12s}{foe:20s}{sizes[name]:7d}{row[0.0]:7.3f}{ends:>14s}{shares}{balanced}")


def intents(data: Corpus, seeds: Sequence[int], quick: bool) -> dict[str, object]:
    """The paper's MMD calibrated on one service's traffic, its windows those of tenants that use k of 150 intents."""
    tenants, draws = (20, 300) if quick else (60, 1000)
    flagged: dict[int, dict[int, list[bool]]] = {150: defaultdict(list), WINDOW: defaultdict(list)}
    every = sorted({topic for topic in data.topics if topic.startswith("clinc:") and topic != "clinc:oos"})
    for seed in seeds:
        rng = np.random.default_rng([seed, 5])
        rows = np.array([row for row in rng.permutation(data.rows("clinc:")) if data.topics[row] != "clinc:oos"])
        pool, held = np.split(rows, [len(rows) // 2])
        mine = np.array([data.topics[row] for row in held])
        for size, kept in flagged.items():
            base = Windows.calibrate(data.vectors_nd[pool[:8_000]], window=size, draws=draws, seed=seed)
            counts: list[NDArray[np.float32]] = []
            labels: list[int] = []
            for k in (k for k in INTENTS if 60 * k >= size for _ in range(tenants)):
                own = np.flatnonzero(np.isin(mine, rng.choice(every, k, replace=False)))
                chosen = rng.choice(own, size, replace=False)
                counts.append(np.bincount(chosen, minlength=len(held)).astype(np.float32))
                labels.append(k)
            found = scores(base, data.vectors_nd[held], np.array(counts))
            for k, score in zip(labels, found, strict=True):
                kept[k].append(bool(score > base.threshold))
    print("\nThe paper's MMD on honest tenants of the service it was calibrated on, who use k of its 150 intents:")
    for size, kept in flagged.items():
        print(f"  windows of {size:5d}: " + "  ".join(f"k={k} {np.mean(some):.0%}" for k, some in kept.items()))
    return {
        f"mmd_fpr_intents_{size}": {str(k): with_ends(some) for k, some in kept.items()}
        for size, kept in flagged.items()
    }


# Ours.


@dataclass(frozen=True, slots=True)
class World:
    """Honest tenants by role, their kinds, and the attackers' sets; no text twice."""

    rows: dict[str, list[Rows]]
    kinds: dict[str, list[str]]
    attacks: dict[str, Rows]
    fourier: FourierMap
    features_nf: NDArray[np.int16]
    metric: Metric

    def sketch(self, rows: Rows) -> MeanSketch:
        return MeanSketch.empty(self.fourier).update(self.features_nf[rows])


def some_topics(kind: str, topics: dict[str, list[str]], rng: Rng) -> list[str]:
    """What a tenant of a kind asks about: how many topics of which sets."""
    if kind == "mixed":
        two = rng.choice(["assistant", "maths", "reasoning", "pipeline", "open"], 2, replace=False)
        return [topic for one in two for topic in some_topics(str(one), topics, rng)]
    if kind == "open":
        return topics["open"]
    low, high = {"assistant": (1, 20), "reasoning": (1, 4), "pipeline": (2, 6)}.get(kind, (1, 1))
    of = topics[{"batch": "t0", "pipeline": "t0"}.get(kind, kind)]
    return [of[at] for at in rng.choice(len(of), int(rng.integers(low, high + 1)), replace=False)]


def world(data: Corpus, seed: int) -> World:
    rng = np.random.default_rng([seed, 6])
    free = {topic: rng.permutation(data.rows(topic)).tolist() for topic in sorted(set(data.topics))}
    free["gsm8k"] = [row for row in free["gsm8k"] if data.topics[row] == "gsm8k"]
    topics = {
        "assistant": [one for one in free if one.startswith("clinc:")],
        "reasoning": [one for one in free if one.startswith("bbh:")],
        "t0": [one for one in free if one.startswith("t0:")],
        "open": [one for one in free if one.startswith("open:")],
        "maths": ["gsm8k"],
    }
    rows: dict[str, list[Rows]] = {role: [] for role in TENANTS}
    kinds: dict[str, list[str]] = {role: [] for role in TENANTS}
    for role in rng.permutation([role for role, (count, _) in TENANTS.items() for _ in range(count)]).tolist():
        while True:
            kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
            chosen = some_topics(kind, topics, rng)
            # The same is asked of tenants of all roles, or they could not change places.
            if sum(len(free[topic]) for topic in chosen) >= LONG:
                break
        taste = rng.dirichlet(np.full(len(chosen), 2.0))
        order = np.argsort(
            -np.concatenate([rng.random(len(free[t])) ** (1 / (w + 1e-3)) for t, w in zip(chosen, taste, strict=True)])
        )
        taken = np.array([row for topic in chosen for row in free[topic]])[order[: TENANTS[role][1]]]
        for topic in chosen:
            free[topic] = [row for row in free[topic] if row not in set(taken.tolist())]
        rows[role].append(taken)
        kinds[role].append(kind)
    relay = np.array([row for topic, some in free.items() if topic[0] != "@" for row in some])
    attacks = {name: data.rows(f"@{name}") for name in ("salad", "sentences", "leeching", "open")}
    attacks |= {"maths": data.rows("gsm8k_test"), "relay": rng.permutation(relay)[:2_000]}
    learnt = np.concatenate(rows["learn"])
    bandwidth = median_distance(data.vectors_nd[rng.permutation(learnt)[:1000]])
    fourier = FourierMap.of(data.vectors_nd.shape[1], FREQUENCIES, (bandwidth, 2 * bandwidth), seed)
    features = fourier.features(data.vectors_nd)
    metric = Metric.of([MeanSketch.empty(fourier).update(features[some]) for some in rows["learn"]])
    return World(rows, kinds, attacks, fourier, features, metric)


def camouflaged(w: World, hosts: Sequence[Rows], share: float, attack: str, rng: Rng) -> list[Rows]:
    """The hosts' queries, each the attackers' with probability `share`; they divide one set among the accounts."""
    theirs = [rng.random(len(host)) < share for host in hosts]
    total = sum(map(np.count_nonzero, theirs))
    asked = np.resize(rng.permutation(w.attacks[attack]), total)
    parts = np.split(asked, np.cumsum([np.count_nonzero(mask) for mask in theirs])[:-1])
    mixed = [host.copy() for host in hosts]
    for own, mask, part in zip(mixed, theirs, parts, strict=True):
        own[mask] = part
    return mixed


def first(w: World, tenants: Sequence[int], m: int) -> list[Rows]:
    return [w.rows["test"][one][:m] for one in tenants]


def split(w: World, k: int, rng: Rng) -> tuple[list[int], list[int]]:
    order = rng.permutation(len(w.rows["test"])).tolist()
    return order[:k], order[k:]


def tested(w: World, members: list[Rows], others: Sequence[int], m: int, seed: int, metric: Metric | None) -> float:
    """The p-value of a group of test tenants among the other honest tenants, all with their first m queries."""
    rest = [w.sketch(some[:m]) for some in [*first(w, others, m), *w.rows["rank"]]]
    return group_p([w.sketch(some) for some in members], rest, metric=metric, seed=seed)


def accounts(worlds: dict[int, World], data: Corpus) -> dict[str, object]:
    """One account at a time, 40 queries each: the paper's flag, and our rank among honest tenants."""
    flags: dict[str, list[bool]] = defaultdict(list)
    for seed, w in worlds.items():
        rng = np.random.default_rng([seed, 7])
        test = [some[:AGE] for some in w.rows["test"]]
        flags["paper, honest tenants"] += paper_flags(w, data, seed, test, AGE)[0]

        def judge(label: str, some: list[Rows], but: str = "", w: World = w) -> None:
            pooled = w.sketch(
                np.concatenate([r for r, k in zip(w.rows["learn"], w.kinds["learn"], strict=True) if k != but])
            )
            ranked = [
                r for r, k in zip((some[:AGE] for some in w.rows["rank"]), w.kinds["rank"], strict=True) if k != but
            ]
            known = Reference.of({"": [distance(w.sketch(one), pooled) for one in ranked]}, 0)
            for one in some:
                for level in (0.01, 0.05):
                    found = known.read("", distance(w.sketch(one), pooled), level)
                    flags[f"ours at {level:.0%}, {label}"].append(found.p <= level)

        judge("honest tenants", test)
        for kind in KINDS:
            own = [rows for rows, is_of in zip(test, w.kinds["test"], strict=True) if is_of == kind]
            judge("honest of a kind not in the reference", own, but=kind)
        for share in SHARES:
            some = []
            for host in test:
                attack = str(rng.choice([one for one in w.attacks if one != "relay"]))
                some += camouflaged(w, [host], share, attack, rng)
            judge(f"attacker share {share:.0%}", some)
    print(f"\nOne account at a time, its first {AGE} queries: share flagged")
    for label, found in flags.items():
        print(f"  {label:56s} {said(found)}  of {len(found)}")
    shares = {f"{f:g}": with_ends(flags[f"ours at 1%, attacker share {f:.0%}"]) for f in SHARES}
    return {
        "mmd_fpr_tenants": with_ends(flags["paper, honest tenants"]),
        "ours_fpr_other": {f"{x:g}": with_ends(flags[f"ours at {x:.0%}, honest tenants"]) for x in (0.01, 0.05)},
        "ours_fpr_unseen_kind": {
            f"{x:g}": with_ends(flags[f"ours at {x:.0%}, honest of a kind not in the reference"]) for x in (0.01, 0.05)
        },
        "ours_account_tpr": shares,
    }


def paper_flags(
    w: World, data: Corpus, seed: int, windows: Sequence[Rows], size: int
) -> tuple[list[bool], NDArray[np.float64]]:
    base = Windows.calibrate(data.vectors_nd[np.concatenate(w.rows["learn"])], window=size, seed=seed)
    used, places = np.unique(np.concatenate(windows), return_inverse=True)
    parts = np.split(places, np.cumsum([len(one) for one in windows])[:-1])
    counts = np.array([np.bincount(part, minlength=len(used)) for part in parts], dtype=np.float32)
    found = scores(base, data.vectors_nd[used], counts)
    return (found > base.threshold).tolist(), found


def groups(worlds: dict[int, World], quick: bool) -> dict[str, object]:
    """Groups of accounts: false alarms of random honest groups and of groups of one kind; power by share and size."""
    rounds, honest = (5, 20) if quick else (40, 120)
    null: dict[int, list[float]] = defaultdict(list)
    alike: dict[str, list[bool]] = defaultdict(list)
    power: dict[tuple[int, float, int], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for seed, w in worlds.items():
        rng = np.random.default_rng([seed, 8])
        names = [name for name in w.attacks if name != "relay"]
        for k in (10, 50):
            for at in range(honest):
                members, others = split(w, k, rng)
                m = (4, 30, 80)[at % 3]
                null[k].append(tested(w, first(w, members, m), others, m, at, w.metric))
            for share, sizes in GRID.items():
                for m, at in ((m, at) for m in sizes for at in range(rounds)):
                    members, others = split(w, k, rng)
                    attack = names[at % len(names)]
                    some = camouflaged(w, first(w, members, m), share, attack, rng)
                    power[k, share, m][attack].append(tested(w, some, others, m, at, w.metric) <= LEVEL)
            for at in range(rounds):
                members, others = split(w, k, rng)
                some = camouflaged(w, first(w, members, 8), 1.0, "relay", rng)
                power[k, 1.0, 8]["relay"].append(tested(w, some, others, 8, at, w.metric) <= LEVEL)
        for kind, count in Counter(w.kinds["test"]).items():
            if count >= 5:
                for at in range(rounds):
                    order = rng.permutation(len(w.kinds["test"])).tolist()
                    members = [one for one in order if w.kinds["test"][one] == kind][:5]
                    others = [one for one in order if one not in members]
                    some = first(w, members, 30)
                    alike[kind].append(tested(w, some, others, 30, at, w.metric) <= LEVEL)
    return print_groups(null, alike, power)


def print_groups(
    null: dict[int, list[float]],
    alike: dict[str, list[bool]],
    power: dict[tuple[int, float, int], dict[str, list[bool]]],
) -> dict[str, object]:
    print("\nRandom honest groups, our group test: share flagged")
    false = {f"{x:g}": {k: [p <= x for p in ps] for k, ps in null.items()} for x in (0.01, 0.05)}
    for level, by_k in false.items():
        print(f"  at {level:4s} " + "   ".join(f"{k} accounts: {said(some)}" for k, some in by_k.items()))
    print(f"Honest groups of five accounts of one kind, at {LEVEL:g} (links that follow the topic make such groups):")
    print("  " + "   ".join(f"{kind} {np.mean(some):.2f}" for kind, some in alike.items()))
    print(f"\nPower of the group test at {LEVEL:g}: accounts × queries each, all attacker sets but the relay")
    needed: dict[str, dict[str, object]] = defaultdict(dict)
    for k, share in ((k, share) for k in (10, 50) for share in GRID):
        curve = [
            (k * m, [x for name, some in power[k, share, m].items() if name != "relay" for x in some])
            for m in GRID[share]
        ]
        needed[str(k)][f"{share:g}"] = until(curve)
        cells = "  ".join(f"n={n}: {np.mean(some):.2f}" for n, some in curve)
        law = f"n·f² law: {15 / share**2:,.0f}"
        print(f"  {k:2d} accounts, share {share:4.0%}   {cells}   90 % at {until(curve)} ({law})")
    last = {share: GRID[share][-1] for share in GRID}
    names = ("salad", "sentences", "leeching", "open", "maths")
    by_set = {
        name: {f"{f:g}": until([(50 * m, power[50, f, m][name]) for m in sizes]) for f, sizes in GRID.items()}
        for name in names
    }
    print("By attacker set, 50 accounts: power at the most queries of each row above, and [pooled queries until 90 %]")
    for name in names:
        found = {f: power[50, f, m][name] for f, m in last.items()}
        print(
            f"  {name:10s}"
            + "  ".join(f"{f:.0%}: {np.mean(p):.2f} [{by_set[name][f'{f:g}']}]" for f, p in found.items())
        )
    relay = {k: power[k, 1.0, 8]["relay"] for k in (10, 50)}
    print("Relayed prompts of all honest users, dealt out to accounts by chance, 8 each: ", end="")
    print("   ".join(f"{k} accounts: {said(some)}" for k, some in relay.items()))
    return {
        "ours_group_fpr": {x: with_ends([one for some in by_k.values() for one in some]) for x, by_k in false.items()},
        "ours_group_fpr_same_kind": {kind: with_ends(some) for kind, some in alike.items()},
        "pooled_for_90": needed,
        "pooled_for_90_by_set": by_set,
        "pooled_for_90_law": {f"{f:g}": round(15 / f**2) for f in GRID},
        "ours_group_tpr_relay": {str(k): with_ends(some) for k, some in relay.items()},
    }


def until(curve: Sequence[tuple[int, Sequence[bool]]]) -> int | str:
    """Pooled queries from which on power stays at 90 %, between two sizes by their logarithms."""
    powers = [float(np.mean(some)) for _, some in curve]
    low = [at for at, power in enumerate(powers) if power < 0.9]
    if not low:
        return f"<= {curve[0][0]}"
    at = low[-1]
    if at == len(curve) - 1:
        return f"> {curve[-1][0]}"
    n, larger = curve[at][0], curve[at + 1][0]
    return round(float(n * (larger / n) ** ((0.9 - powers[at]) / (powers[at + 1] - powers[at]))))


def side_by_side(worlds: dict[int, World], data: Corpus, quick: bool) -> dict[str, object]:
    """Both detectors on the same windows of 1,500: 50 accounts with 30 queries each."""
    rounds, k, m = (5 if quick else 20), 50, 30
    cases: tuple[str | float, ...] = ("honest", *SHARES)
    columns = ("paper", "paper's score, threshold from honest groups", "ours at 5%", "ours at 1%", "ours, no metric")
    flags: dict[str, dict[str | float, list[bool]]] = {name: {case: [] for case in cases} for name in columns}
    for seed, w in worlds.items():
        rng = np.random.default_rng([seed, 9])
        names = [name for name in w.attacks if name != "relay"]
        drawn: list[tuple[str | float, list[Rows], list[int]]] = []
        for case in ("tune", *cases):
            for at in range(5 * rounds if isinstance(case, str) else rounds):
                members, others = split(w, k, rng)
                share = 0.0 if isinstance(case, str) else case
                drawn.append((case, camouflaged(w, first(w, members, m), share, names[at % len(names)], rng), others))
        above, found = paper_flags(w, data, seed, [np.concatenate(some) for _, some, _ in drawn], k * m)
        honest = float(np.quantile([s for s, (case, _, _) in zip(found, drawn, strict=True) if case == "tune"], 0.95))
        for at, ((case, members_rows, others), flag, score) in enumerate(zip(drawn, above, found, strict=True)):
            if case == "tune":
                continue
            p = tested(w, members_rows, others, m, at, w.metric)
            bare = tested(w, members_rows, others, m, at, None)
            results = (flag, bool(score > honest), p <= 0.05, p <= 0.01, bare <= 0.05)
            for name, result in zip(columns, results, strict=True):
                flags[name][case].append(result)
    print(f"\nThe same groups of {k} accounts, {m} queries each (windows of {k * m}): share flagged")
    print(f"{'':46s}{'honest':>8s}" + "".join(f"{f'{f:.0%}':>8s}" for f in SHARES))
    for name, by_case in flags.items():
        print(f"{name:46s}" + "".join(f"{np.mean(by_case[case]):8.3f}" for case in cases))
    return {
        "mmd_group_fpr": with_ends(flags["paper"]["honest"]),
        "mmd_group_tpr_at_honest_5": {f"{f:g}": with_ends(flags[columns[1]][f]) for f in SHARES},
        "ours_group_tpr": {f"{f:g}": with_ends(flags["ours at 1%"][f]) for f in SHARES},
        "ours_group_tpr_no_metric_5": {f"{f:g}": with_ends(flags["ours, no metric"][f]) for f in SHARES},
    }


def with_ends(some: Sequence[bool]) -> list[float]:
    found = wilson(sum(some), len(some))
    return [round(one, 4) for one in (found.estimate, found.low, found.high)]


def said(some: Sequence[bool]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*with_ends(some))


def over_pairs(values: Sequence[float]) -> list[float]:
    """The mean over pairs and its bootstrap interval: windows of one pair share their queries."""
    array = np.asarray(values)
    picks = np.random.default_rng(0).integers(0, len(array), (10_000, len(array)))
    low, high = np.quantile(array[picks].mean(axis=1), [0.025, 0.975])
    return [round(float(one), 4) for one in (array.mean(), low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with the prompt sets")
    parser.add_argument("--quick", action="store_true", help="fewer pairs, windows and groups, and another seed")
    parser.add_argument("--seeds", type=int, nargs="+")
    asked = parser.parse_args()
    seeds = asked.seeds or (QUICK_SEEDS if asked.quick else SEEDS)
    started = time.process_time()
    result: dict[str, object] = {"seeds": list(seeds), "quick": asked.quick}

    def run(name: str, part: Callable[[], dict[str, object]]) -> None:
        before = time.process_time()
        result.update(part())
        print(f"[{name}: {time.process_time() - before:.0f} CPU s]", flush=True)

    data = corpus(asked.data, np.random.default_rng(0))
    print(f"{len(data.texts):,} texts embedded, {time.process_time() - started:.0f} CPU s", flush=True)
    run("protocol", lambda: protocol(data, seeds, asked.quick))
    run("intents", lambda: intents(data, seeds, asked.quick))
    worlds = {seed: world(data, seed) for seed in seeds}
    kinds = Counter(kind for w in worlds.values() for some in w.kinds.values() for kind in some)
    total = sum(count for count, _ in TENANTS.values())
    print(f"\n{total} honest tenants a seed, " + ", ".join(f"{kind} {n}" for kind, n in kinds.items()) + " in all")
    run("accounts", lambda: accounts(worlds, data))
    run("groups", lambda: groups(worlds, asked.quick))
    run("side by side", lambda: side_by_side(worlds, data, asked.quick))
    print(json.dumps({**result, "cpu_s": round(time.process_time() - started)}))


if __name__ == "__main__":
    main()
