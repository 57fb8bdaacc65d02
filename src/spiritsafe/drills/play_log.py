"""Plays a scenario straight into exchange lines, for studies that no gateway could carry.

    OUT/log/exchanges.jsonl     what a gateway would have logged, in the order of time
    OUT/key/accounts.jsonl      what each account was, and how many exchanges it had
    OUT/key/own.jsonl           id and campaign of each exchange that was a campaign's own query
    OUT/key/scenario.json       the scenario in full, each campaign as planned and as played

The model that answers is a script: its answers have a subject and a length, and teach nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from spiritsafe.drills.key import AnswerKey
from spiritsafe.drills.parts import Line, lines_by
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.atomic import replacing

LOG = Path("log", "exchanges.jsonl")
KEY = Path("key", "accounts.jsonl")
OWN = Path("key", "own.jsonl")
SCENARIO = Path("key", "scenario.json")


@dataclass(frozen=True, slots=True)
class Played:
    """What was played.

    Attributes:
        exchanges, own: how many, and how many of them were campaigns' own queries.
        key: what every account was.
    """

    exchanges: int
    own: int
    key: AnswerKey


def play_into_log(scenario: Scenario, out: Path, processes: int = 1) -> Played:
    """Play `scenario` into the folder `out`; see the head of this module for its files.

    A file is there whole or not at all, and the log comes last. The bytes do not depend on `processes`.

    Raises:
        InputError: prompt sets or questions cannot be read.
        StoreError: the disk did not take it.
    """
    key = AnswerKey()
    with ExitStack() as files:
        log = files.enter_context(replacing(out / LOG))
        own = files.enter_context(replacing(out / OWN))
        count, mine = _write(lines_by(scenario, key, processes), log, own)
        write_key(scenario, key, out)
    return Played(count, mine, key)


def write_key(scenario: Scenario, key: AnswerKey, out: Path) -> None:
    """Write what every account was, and the scenario in full, into the key folder of `out`.

    Raises:
        StoreError: the disk did not take it.
    """
    key.write(out / KEY)
    with replacing(out / SCENARIO) as file:
        file.write(orjson.dumps(scenario.described(), option=orjson.OPT_INDENT_2) + b"\n")


def _write(lines: Iterable[Line], log: IO[bytes], own: IO[bytes]) -> tuple[int, int]:
    count = mine = 0
    for line in lines:
        log.write(line.line + b"\n")
        count += 1
        if line.campaign:
            own.write(orjson.dumps({"id": line.id, "campaign": line.campaign}) + b"\n")
            mine += 1
    return count, mine
