"""`spiritsafe drills`: campaigns and customers played against one's own detection, and what it was worth."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson
from cyclopts import App

from spiritsafe.errors import InputError

app = App(name="drills", help="Campaigns and customers played against your own gateway or detectors, and scored.")
app.command("spiritsafe.cli.drills_student:prompts", name="prompts")
app.command("spiritsafe.cli.drills_student:student", name="student")
app.command("spiritsafe.cli.drills_accounts:accounts", name="accounts")
app.command("spiritsafe.cli.drills_accounts:enrol", name="enrol")

SCORE = "score.json"


@app.command
def log(scenario: Path, *, out: Path, processes: int = 1) -> None:
    """Play a scenario straight into exchange lines, with a scripted model: for studies that no gateway could carry.

    Parameters
    ----------
    scenario:
        The scenario's TOML file.
    out:
        The folder: exchanges go into `log` inside it, who was what into `key`.
    processes:
        How many play; what is written does not depend on it.
    """
    from spiritsafe.drills.play_log import LOG, play_into_log
    from spiritsafe.drills.run import ASKED
    from spiritsafe.drills.scenario import read_scenario

    _only_one(out / ASKED)
    done = play_into_log(read_scenario(scenario), out, _at_least_one("processes", processes))
    print(f"{done.exchanges:,} exchanges of {len(done.key.accounts):,} accounts in {out / LOG}")
    print(f"{done.own:,} of them are campaigns' own queries; who was what: {out / 'key'}")


@app.command
def run(
    scenario: Path,
    *,
    out: Path,
    gateway: str,
    keys: Path,
    speed: float = 3600.0,
    in_flight: int = 64,
    dialect: str = "",
) -> None:
    """Play a scenario over HTTP against your own gateway on this machine, as its customers would.

    Parameters
    ----------
    scenario:
        The scenario's TOML file.
    out:
        The folder: what was asked goes into `run` inside it, who was what into `key`.
    gateway:
        The gateway's loopback address, e.g. http://127.0.0.1:8100; any other is refused.
    keys:
        The accounts' keys, as `spiritsafe drills enrol` writes them.
    speed:
        Simulated seconds in a real one.
    in_flight:
        Requests at once.
    dialect:
        The API format that everybody speaks (chat, anthropic, responses), where the gateway's upstreams know only one;
        else each account has its own.
    """
    from spiritsafe.drills.enrolment import read_keys
    from spiritsafe.drills.loopback import loopback
    from spiritsafe.drills.play_log import LOG
    from spiritsafe.drills.run import ASKED, Ran, play_over
    from spiritsafe.drills.scenario import read_scenario
    from spiritsafe.drills.sending import Sender

    if not speed > 0:
        raise InputError(f"got --speed {speed:g}, wanted simulated seconds in a real one, above 0; try 3600")
    _only_one(out / LOG)
    at, played, known = loopback(gateway), read_scenario(scenario), read_keys(keys)

    async def playing() -> Ran:
        async with Sender(at, known, dialect=dialect) as sender:
            return await play_over(
                played, out, sender.send, speed=speed, most_in_flight=_at_least_one("in-flight", in_flight)
            )

    began = time.monotonic()
    ran = asyncio.run(playing())
    statuses = ", ".join(f"{status or 'no answer'} {count:,}" for status, count in sorted(ran.statuses.items()))
    print(f"{ran.exchanges:,} exchanges in {time.monotonic() - began:,.0f} s, {ran.own:,} campaigns' own: {statuses}")
    print(f"what was asked: {out / ASKED}; who was what: {out / 'key'}")
    if ran.late_s > 1.0:
        print(f"the gateway fell behind: asks were up to {ran.late_s:,.1f} s late; lower --speed", file=sys.stderr)
    if not ran.is_whole:
        print("stopped before the end; what was asked until then is kept", file=sys.stderr)


@app.command
def score(folder: Path, *, alarms: Path) -> None:
    """Hold alarms against the answer key: who was caught, after how much, and who was wronged.

    Parameters
    ----------
    folder:
        What `drills log` or `drills run` wrote; score.json goes there too.
    alarms:
        The alarms that were raised on it, one JSON object a line.
    """
    from spiritsafe.cli.drills_student import students_of
    from spiritsafe.drills.alarms import read_alarms
    from spiritsafe.drills.results import Results
    from spiritsafe.drills.score_table import score_lines
    from spiritsafe.exchanges.atomic import replacing

    found = {**Results.of(folder).score(read_alarms(alarms)), "student": students_of(folder)}
    with replacing(folder / SCORE) as file:
        file.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    for line in score_lines(found):
        print(line)


def _only_one(other: Path) -> None:
    if other.exists():
        raise InputError(f"{other} is there: a folder holds one drill; give another --out")


def _at_least_one(name: str, count: int) -> int:
    if count < 1:
        raise InputError(f"got --{name} {count}, wanted at least 1")
    return count
