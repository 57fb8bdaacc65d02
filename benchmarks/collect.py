"""The collector against the openai SDK and bespokelabs-curator: `python benchmarks/collect.py [--quick]`.

Measured: CPU seconds (user and system, of the whole client process and its children) for 1,000 exchanges at 256 and
1,024 in flight, requests of 1.6 KB and answers of 2.9 KB, against a server in a process and on a core of its own. Ours
includes the ledger with every answer synced to disk, budget, pacing and progress; curator includes its own cache; the
SDK keeps nothing; "floor" is our HTTP client alone and says how fast the machine is. Imports are outside and measured
apart. Then a crash test: `kill -9` at half, run again, count what was asked twice. Each figure is the best of its
rounds, which are interleaved; the rounds are all in the JSON.

Peers are installed by pip into ~/.cache/spiritsafe-bench at the first run. One that cannot run is null, with a reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from loopback import HERE, Loopback, last_core, serve
from spiritsafe.exchanges.ledger import Ledger

CACHE = Path.home() / ".cache" / "spiritsafe-bench"
PEERS = {"openai": "openai==3.51.0", "curator": "bespokelabs-curator==0.1.31"}
ANSWER_BYTES = 2900
IN_FLIGHT = (256, 1024)
TARGETS = {"cpu_s_per_1000": 0.25, "ratio_openai": 10, "ratio_curator": 10, "repeated_after_kill": 0, "peak_mb": 80}

Result = dict[str, Any]


def peer_python(name: str) -> Path | str:
    """The interpreter of the peer's environment, made if it is missing; a reason if that cannot be."""
    python = CACHE / name / "bin" / "python"
    module = {"openai": "openai", "curator": "bespokelabs.curator"}[name]
    found = f"import importlib.util as u; raise SystemExit(u.find_spec('{module}') is None)"
    if python.exists() and subprocess.run([python, "-c", found], capture_output=True).returncode == 0:
        return python
    print(f"installing {PEERS[name]} ...", flush=True)
    venv.create(CACHE / name, with_pip=True)
    done = subprocess.run([python, "-m", "pip", "install", "-q", PEERS[name]], capture_output=True, text=True)
    return python if done.returncode == 0 else f"pip could not install {PEERS[name]}: {done.stderr.strip()[-200:]}"


def client_command(name: str, base_url: str, count: int, in_flight: int, folder: Path) -> list[str] | str:
    if name == "ours":
        script = HERE / "peers" / "spiritsafe_collect.py"
        return [sys.executable, str(script), base_url, str(count), str(in_flight), str(folder)]
    if name == "floor":
        return [sys.executable, str(HERE / "peers" / "pyreqwest_bare.py"), base_url, str(count), str(in_flight)]
    python = peer_python(name)
    if isinstance(python, str):
        return python
    script = HERE / "peers" / {"openai": "openai_sdk.py", "curator": "curator_llm.py"}[name]
    more = [str(folder)] if name == "curator" else []
    return [str(python), str(script), base_url, str(count), str(in_flight), *more]


def client_env() -> dict[str, str]:
    # Compiled modules are kept, as on a user's machine: otherwise imports would measure the compiler.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run_client(name: str, server: Loopback, count: int, in_flight: int) -> Result:
    """One run in a process of its own on the first core; {"error": reason} if it failed."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = client_command(name, server.base_url, count, in_flight, Path(folder) / "store")
        if isinstance(command, str):
            return {"error": command}
        try:
            done = subprocess.run(
                command, env=client_env(), preexec_fn=first_core, capture_output=True, text=True, timeout=300
            )
        except subprocess.TimeoutExpired:
            return {"error": "no end within 300 s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"exchanges"')]
    if not lines:
        return {"error": f"exit {done.returncode}: {done.stderr.strip()[-300:]}"}
    result: Result = json.loads(lines[-1])
    return result


def measure(server: Loopback, quick: bool) -> dict[str, list[Result]]:
    """All rounds, by "client@in flight"; the clients take turns, so that a busy minute hits all of them."""
    fast, slow = (4000, 1000) if quick else (12000, 2000)
    counts = {"ours": fast, "floor": fast, "openai": slow, "curator": slow}
    rounds: dict[str, list[Result]] = {}
    for _ in range(2 if quick else 3):
        for in_flight in IN_FLIGHT:
            for name, count in counts.items():
                result = run_client(name, server, max(count, 2 * in_flight), in_flight)
                rounds.setdefault(f"{name}@{in_flight}", []).append(result)
                print(f"  {name:8} {in_flight:5} in flight: {said(result)}", flush=True)
    return rounds


def said(result: Result) -> str:
    if "error" in result:
        return f"failed: {result['error']}"
    return (
        f"{result['cpu_s_per_1000']:.3f} CPU s / 1,000, {result['per_s']:,.0f}/s, "
        f"{result['peak_mb']:.0f} MB, import {result['import_s']:.2f} s"
    )


def best(results: list[Result], field: str = "cpu_s_per_1000") -> float | None:
    return min((one[field] for one in results if field in one), default=None)


def import_s() -> float:
    """Seconds to import the collector in a fresh interpreter, the best of five."""
    code = "import time; t = time.perf_counter(); import spiritsafe.distil.collect; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], env=client_env(), capture_output=True, text=True) for _ in "12345"
    ]
    return min(float(run.stdout) for run in runs)


def crash_test(quick: bool) -> Result:
    """Kill our collector at half, run it again, and see what the server was asked twice."""
    count, in_flight, delay_ms = (2000 if quick else 8000), 256, 100
    with serve(CACHE, delay_ms, ANSWER_BYTES) as server, tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = client_command("ours", server.base_url, count, in_flight, Path(folder) / "ledger")
        assert not isinstance(command, str)
        client = subprocess.Popen(command, env=client_env(), stdout=subprocess.DEVNULL, preexec_fn=first_core)
        while server.stats()["requests"] < count // 2 and client.poll() is None:
            time.sleep(0.01)
        client.send_signal(signal.SIGKILL)
        client.wait()
        server.mark()
        with Ledger.open(Path(folder) / "ledger", read_only=True) as ledger:
            durable = sum(1 for _ in ledger.exchanges())
        sent = server.stats()["requests"]
        again = subprocess.run(command, env=client_env(), capture_output=True, text=True, timeout=300)
        lines = [line for line in again.stdout.splitlines() if line.startswith('{"exchanges"')]
        if not lines:
            return {"error": again.stderr.strip()[-300:]}
        stats, second = server.stats(), json.loads(lines[-1])
    # In flight at the kill: sent and not yet acknowledged as stored. Only those may be asked again.
    unfinished = sent - durable
    return {
        "sent_at_kill": sent,
        "stored_at_kill": durable,
        "in_flight_at_kill": unfinished,
        "asked_again": stats["asked_again"],
        "answered_then_asked_again": stats["answered_then_asked_again"],
        "found_by_rerun": second["from_ledger"],
        "repeated_after_kill": max(0, stats["asked_again"] - min(unfinished, in_flight)),
    }


def ratio(rounds: dict[str, list[Result]], peer: str, in_flight: int) -> float | None:
    theirs, ours = best(rounds[f"{peer}@{in_flight}"]), best(rounds[f"ours@{in_flight}"])
    return None if theirs is None or ours is None else theirs / ours


def least(values: list[float | None]) -> float | None:
    """The smallest of what could be measured."""
    known = [value for value in values if value is not None]
    return round(min(known), 2) if known else None


def summary(rounds: dict[str, list[Result]], crash: Result, server_kind: str) -> Result:
    ours = [one for key, results in rounds.items() if key.startswith("ours@") for one in results]
    by_flight = {str(n): best(rounds[f"ours@{n}"]) for n in IN_FLIGHT}
    known = [value for value in by_flight.values() if value is not None]
    return {
        "cpu_s_per_1000": round(max(known), 4) if len(known) == len(IN_FLIGHT) else None,
        "floor_cpu_s_per_1000": round(max(best(rounds[f"floor@{n}"]) or 0.0 for n in IN_FLIGHT), 4) or None,
        "ratio_openai": least([ratio(rounds, "openai", n) for n in IN_FLIGHT]),
        "ratio_curator": least([ratio(rounds, "curator", n) for n in IN_FLIGHT]),
        "repeated_after_kill": crash.get("repeated_after_kill"),
        "peak_mb": round(max((one["peak_mb"] for one in ours if "peak_mb" in one), default=0.0), 1) or None,
        "import_s": round(import_s(), 3),
        "ratios": {f"{p}@{n}": ratio(rounds, p, n) for p in PEERS for n in IN_FLIGHT},
        "rounds": rounds,
        "crash": crash,
        "server": server_kind,
        "targets": TARGETS | {"import_s": 0.3},
        "load": os.getloadavg()[0],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="fewer exchanges and rounds")
    quick = arguments.parse_args().quick
    CACHE.mkdir(parents=True, exist_ok=True)
    for leftover in CACHE.glob("tmp*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with serve(CACHE, 0, ANSWER_BYTES) as server:
        print(f"server: {server.kind}, on core {last_core()}; load {os.getloadavg()[0]:.1f}")
        rounds = measure(server, quick)
        kind = server.kind
    crash = crash_test(quick)
    result = summary(rounds, crash, kind)
    print("\nbest of the rounds, CPU seconds for 1,000 exchanges")
    clients = ("ours", "floor", "openai", "curator")
    print(f"{'in flight':>10} " + " ".join(f"{name:>8}" for name in clients))
    for n in IN_FLIGHT:
        row = [best(rounds[f"{name}@{n}"]) for name in clients]
        print(f"{n:>10} " + " ".join(f"{'-' if value is None else format(value, '.3f'):>8}" for value in row))
    print(f"killed at half: {crash}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
