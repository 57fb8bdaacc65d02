"""The guard's gateway against other gateways: `python benchmarks/gateway.py [--quick] [--only ours,nginx]`.

All stand, with one worker each and on one core, in front of the same fake model, which shares the other core with the
load generator. Measured, in turns so that a busy minute hits all of them, the median of the rounds counts:

- plain requests in a closed loop of 64: requests for a CPU second (user and system, of the process and all of its
  children). Ours keeps accounts, decides and logs; no peer logs. Its log is put into Parquet by another process, at
  leisure: what that takes a request is measured at the end and told beside, with the rate that counts it in.
- streams of 101 events of 248 bytes, one each 20 ms, started at random moments: CPU of an event with 600 open streams,
  a busy core, and with 200, where every event comes alone and costs more; and the first byte, against no gateway.
- 200 plain requests a second on a schedule: what the gateway adds at the median and at the 99th percentile.
- memory of the process that serves: with 200 and 1,000 open streams, and its growth over 200,000 requests.

Every answer is checked: its status, its length, the number of events and the last of them. The last line is one JSON
object; a peer that cannot be run is null there, with the reason under "unavailable".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import linear_regression, median

from gateway_tools import tools, tree
from gateway_tools.tools import Load, Report, Target
from peers.gateways import (
    CACHE,
    DURABILITY,
    GATEWAYS,
    Gateway,
    Unavailable,
    compact,
    is_compiled,
    running,
)

SETTLE_S = 0.3
"""After a load: the log is written, and what is left to do is done, before CPU seconds are read."""

TARGETS = {
    "rps_per_core": 10_000,
    "ratio_envoy": 1,
    "ratio_litellm": 100,
    "ratio_portkey": 15,
    "event_cpu_us": 30,
    "added_first_byte_p50_ms": 1,
    "added_p99_ms": 5,
    "rss_mb_200_streams": 64,
    "rss_mb_1000_streams": 200,
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    plain_s: float
    stream_s: float
    windows: int
    window_s: float
    growth_chunks: int


FULL = Size(rounds=5, plain_s=6.0, stream_s=8.0, windows=9, window_s=5.0, growth_chunks=11)
QUICK = Size(rounds=2, plain_s=2.0, stream_s=3.0, windows=2, window_s=2.0, growth_chunks=3)
CHUNK = 20_000
"""Requests between two looks at the memory."""


@dataclass
class Bench:
    """What is measured, and what went wrong meanwhile."""

    size: Size
    gateways: dict[str, Gateway]
    direct: Target
    wrong: dict[str, int] = field(default_factory=dict)

    def load(self, target: Target, load: Load) -> Report:
        report = tools.run(load, target, CACHE)
        too_late = max(0, int(0.98 * load.rate * load.seconds) - report["done"])
        bad = max(report["wrong"] + report["failed"], too_late)
        self.wrong[target.name] = self.wrong.get(target.name, 0) + bad
        return report

    def measured(self, gateway: Gateway, load: Load) -> tuple[Report, float]:
        """The report, and the CPU seconds that the gateway's tree took for it."""
        before = tree.cpu_s(gateway.root)
        report = self.load(gateway.target, replace(load, is_exact=gateway.is_exact))
        time.sleep(SETTLE_S)
        return report, tree.cpu_s(gateway.root) - before


Rounds = dict[str, list[float]]


def plain(bench: Bench) -> Rounds:
    """Requests a CPU second, by gateway."""
    load = Load(connections=64, seconds=bench.size.plain_s)
    rounds: Rounds = {name: [] for name in bench.gateways}
    for gateway in bench.gateways.values():  # compilers and caches warm up
        bench.measured(gateway, replace(load, seconds=2 * bench.size.plain_s, count=2000))
    for _ in range(bench.size.rounds):
        for name, gateway in bench.gateways.items():
            report, cpu_s = bench.measured(gateway, load)
            rounds[name].append(report["done"] / cpu_s)
            said = f"{rounds[name][-1]:8,.0f} requests a CPU second, {report['done'] / report['seconds']:8,.0f}/s"
            print(f"  {name:8} {said}, generator {report['cpu_s'] / report['seconds']:.0%} busy", flush=True)
    return rounds


def streams(bench: Bench, open_streams: int) -> Rounds:
    """Microseconds of CPU an event with so many streams open, by gateway."""
    load = Load(connections=open_streams, seconds=bench.size.stream_s, ramp_s=2.0, pace_us=20_000)
    rounds: Rounds = {name: [] for name, gateway in bench.gateways.items() if gateway.streams}
    for _ in range((bench.size.rounds + 1) // 2):
        for name in rounds:
            report, cpu_s = bench.measured(bench.gateways[name], load)
            rounds[name].append(1e6 * cpu_s / max(1, report["events"]))
            said = f"{rounds[name][-1]:6.1f} µs an event, {report['events'] / report['seconds']:,.0f} events/s"
            print(f"  {name:8} {open_streams} streams: {said}", flush=True)
    return rounds


def windows(bench: Bench, load: Load, times: str) -> dict[str, list[dict[str, float]]]:
    """The percentiles of each window, of ours and of the fake model itself, in turns."""
    rounds: dict[str, list[dict[str, float]]] = {"direct": [], "ours": []}
    for _ in range(bench.size.windows):
        for target in (bench.direct, bench.gateways["ours"].target):
            rounds[target.name].append(bench.load(target, load)[times])
    return rounds


def added(rounds: dict[str, list[dict[str, float]]], part: str) -> float:
    """What ours adds to a percentile: the difference of the medians over the windows."""
    return median(one[part] for one in rounds["ours"]) - median(one[part] for one in rounds["direct"])


def worker_rss_mb(bench: Bench, open_streams: int) -> float:
    """The most memory that our worker held with so many streams open, each with an event every 50 ms."""
    ours = bench.gateways["ours"]
    worker, most = tree.busiest(ours.root), 0.0
    load = Load(connections=open_streams, seconds=2.5, ramp_s=2.0, pace_us=50_000)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(bench.load, ours.target, load)
        while not done.done():
            most = max(most, tree.rss_mb(worker))
            time.sleep(0.1)
        done.result()
    return most


def growth_mb(bench: Bench) -> float:
    """Megabytes by which our worker grows in 100,000 plain requests; the first chunk only fills its buffers."""
    ours = bench.gateways["ours"]
    worker = tree.busiest(ours.root)
    held: list[float] = []
    for _ in range(bench.size.growth_chunks):
        bench.load(ours.target, Load(connections=64, seconds=120.0, count=CHUNK))
        time.sleep(SETTLE_S)
        held.append(tree.rss_mb(worker))
    print(f"  ours     MB after each {CHUNK:,} requests: {' '.join(f'{mb:.1f}' for mb in held)}", flush=True)
    slope, _ = linear_regression(range(1, len(held)), held[1:])
    return slope * 100_000 / CHUNK


def counted(ours: Gateway) -> dict[str, int]:
    """Our gateway's own numbers: requests, and records that are on disk."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ours.ops_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: int(values[f"spiritsafe_{name}_total"]) for name in ("requests", "records_durable")}


def compaction_us(ours: Gateway) -> float | str:
    """CPU microseconds an exchange that it takes to put the log into Parquet; a reason if that failed."""
    exchanges = counted(ours)["records_durable"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = compact(ours.folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0 or not any(ours.folder.rglob("*.parquet")):
        return f"exit {done.returncode}, and there is no Parquet file: {done.stderr.strip()[-200:]}"
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return 1e6 * used_s / max(1, exchanges)


def rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def middle(rounds: Rounds, name: str) -> float | None:
    return median(rounds[name]) if rounds.get(name) else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return round(ours / theirs, 2) if ours and theirs else None


def plain_summary(rounds: Rounds, ours: Gateway | None) -> Report:
    """What the plain requests say; ours with the CPU seconds of the compaction, and without."""
    serving = middle(rounds, "ours")
    said = compaction_us(ours) if ours else None
    packing_us = said if isinstance(said, float) else None
    whole = 1 / (1 / serving + packing_us / 1e6) if serving and packing_us is not None else serving
    peers = {name: middle(rounds, name) for name in GATEWAYS if name != "ours"}
    return {
        "rps_per_core": rounded(serving),
        **{f"ratio_{name}": ratio(serving, theirs) for name, theirs in peers.items()},
        "rps_per_core_with_compaction": rounded(whole),
        **{f"rps_per_core_{name}": rounded(theirs) for name, theirs in peers.items()},
        "compaction_us_per_request": rounded(packing_us),
        "compaction_failed": said if isinstance(said, str) else None,
        "plain_rounds": rounds,
    }


def stream_summary(busy: Rounds, calm: Rounds) -> Report:
    """What the paced streams say of CPU."""
    ours, ours_calm = middle(busy, "ours"), middle(calm, "ours")
    return {
        "event_cpu_us": rounded(ours),
        "event_ratio_nginx": ratio(ours, middle(busy, "nginx")),
        **{f"event_cpu_us_{name}": rounded(middle(busy, name)) for name in busy if name != "ours"},
        "event_cpu_us_calm": rounded(ours_calm),
        "event_ratio_nginx_calm": ratio(ours_calm, middle(calm, "nginx")),
        **{f"event_cpu_us_calm_{name}": rounded(middle(calm, name)) for name in calm if name != "ours"},
        "event_rounds": {"busy": busy, "calm": calm},
    }


def time_summary(bench: Bench) -> Report:
    """What ours adds to the time of an answer, and to its first byte."""
    scheduled = windows(bench, Load(connections=64, seconds=bench.size.window_s, rate=200.0), "total_ms")
    paced = Load(connections=100, seconds=bench.size.window_s, ramp_s=2.0, pace_us=20_000)
    first = windows(bench, paced, "first_ms")
    result = {
        "added_p50_ms": round(added(scheduled, "p50"), 3),
        "added_p99_ms": round(added(scheduled, "p99"), 3),
        "direct_p99_ms": round(median(one["p99"] for one in scheduled["direct"]), 3),
        "added_first_byte_p50_ms": round(added(first, "p50"), 3),
    }
    print(f"  ours     {result}", flush=True)
    return result | {"time_windows": scheduled, "first_byte_windows": first}


def memory_summary(bench: Bench) -> Report:
    """What our worker holds."""
    held = {f"rss_mb_{count}_streams": round(worker_rss_mb(bench, count), 1) for count in (200, 1000)}
    print(f"  ours     {held}", flush=True)
    return held | {"rss_slope_mb_per_100k": round(growth_mb(bench), 2)}


def log_summary(ours: Gateway) -> Report:
    """Whether every request has its record, once the workers have told their numbers."""
    end = time.monotonic() + 5.0
    numbers = counted(ours)
    while numbers["requests"] != numbers["records_durable"] and time.monotonic() < end:
        time.sleep(0.5)
        numbers = counted(ours)
    return {"requests": numbers["requests"], "records_missing": numbers["requests"] - numbers["records_durable"]}


def measure(bench: Bench) -> Report:
    """All phases; those that are about ours alone are left out where it does not run."""
    ours = bench.gateways.get("ours")
    print("plain requests, closed loop of 64", flush=True)
    result = plain_summary(plain(bench), ours)
    print("paced streams", flush=True)
    result |= stream_summary(streams(bench, 600), streams(bench, 200))
    if ours:
        print("ours against no gateway; memory of our worker", flush=True)
        result |= time_summary(bench) | memory_summary(bench) | log_summary(ours)
    return result


def start(names: Iterable[str], stack: ExitStack, folder: Path, port: int) -> tuple[dict[str, Gateway], dict[str, str]]:
    """The gateways that run, and why the others do not."""
    gateways: dict[str, Gateway] = {}
    unavailable: dict[str, str] = {}
    for name in names:
        try:
            gateways[name] = stack.enter_context(running(name, folder / name, port))
        except Unavailable as reason:
            unavailable[name] = str(reason)
        print(f"{name}: {unavailable.get(name, 'runs')}", flush=True)
    return gateways, unavailable


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="fewer and shorter rounds: under two minutes")
    arguments.add_argument("--only", default=",".join(GATEWAYS), help="which gateways, with commas between")
    given = arguments.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    for leftover in CACHE.glob("gatewayrun*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="gatewayrun")))
        port = stack.enter_context(tools.upstream(CACHE))
        gateways, unavailable = start(given.only.split(","), stack, folder, port)
        bench = Bench(QUICK if given.quick else FULL, gateways, Target("direct", port))
        result = measure(bench)
    result |= {
        "python": platform.python_version(),
        "compiled": is_compiled(),
        "durability": DURABILITY,
        "wrong_answers": bench.wrong,
        "unavailable": unavailable,
    }
    print(json.dumps(result | {"targets": TARGETS, "cores": os.cpu_count(), "load": os.getloadavg()[0]}))
    return 1 if bench.wrong.get("ours") else 0


if __name__ == "__main__":
    raise SystemExit(main())
