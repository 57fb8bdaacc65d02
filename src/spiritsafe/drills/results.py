"""Results: the folder of a drill read back, whether it was played into a log or over HTTP.

Alarms on a drill over HTTP are in real time, since a gateway knows no other; they are taken back into simulated time by
what had been asked when they were raised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.drills.alarms import Alarm
from spiritsafe.drills.key import AnswerKey, json_rows, read_key
from spiritsafe.drills.play_log import KEY, LOG, OWN, SCENARIO
from spiritsafe.drills.run import ASKED
from spiritsafe.drills.score import Asked, caught_at, scored
from spiritsafe.errors import InputError, shown


@dataclass(frozen=True, slots=True)
class Results:
    """The folder of a drill.

    Attributes:
        root: the folder.
        key: what every account was.
        own: the campaign of each exchange that was a campaign's own query, by the exchange's id.
        is_live: whether it was played over HTTP.
        scenario: as the key folder tells it.
    """

    root: Path
    key: AnswerKey
    own: dict[str, str]
    is_live: bool
    scenario: dict[str, Any]

    @classmethod
    def of(cls, root: Path) -> Results:
        """The drill in the folder `root`.

        Raises:
            InputError: there is none, or it was played both ways, or its key cannot be read.
        """
        is_live, is_log = (root / ASKED).exists(), (root / LOG).exists()
        if is_live == is_log:
            what = "both a log and a run" if is_live else "neither a log nor a run"
            raise InputError(f"got {shown(str(root))} with {what}, wanted the folder of one drill; give another --out")
        own = {_text(row, "id", where): _text(row, "campaign", where) for where, row in json_rows(root / OWN)}
        scenario = orjson.loads(_bytes(root / SCENARIO))
        return cls(root, read_key(root / KEY), own, is_live, scenario)

    def asked(self) -> Iterator[Asked]:
        """Every exchange, in simulated time.

        Raises:
            InputError: a line is not what a drill writes; the message names it.
        """
        for where, row in self._exchanges():
            yield self._asked(where, row)

    def in_simulated_time(self, alarms: list[Alarm]) -> list[Alarm]:
        """`alarms`, with their times in the scenario's own time.

        Raises:
            InputError: as `asked`.
        """
        if not self.is_live or not alarms:
            return alarms
        times = sorted((_number(row, "real", where), _number(row, "at", where)) for where, row in self._exchanges())
        real, so_far = [one for one, _ in times], list(accumulate((at for _, at in times), max))
        return [alarm.model_copy(update={"at": _then(real, so_far, alarm.at)}) for alarm in alarms]

    def score(self, alarms: list[Alarm]) -> dict[str, Any]:
        """The score of `alarms`, which are in the time of the log that they were raised on.

        Raises:
            InputError: as `asked` and `score.scored`.
        """
        facts = {name: self.scenario.get(name) for name in ("name", "seed", "days")}
        facts["played"] = "over HTTP" if self.is_live else "into a log"
        return {"scenario": facts, **scored(self.key, self.asked(), self.in_simulated_time(alarms))}

    def queries(self, campaign: str, alarms: list[Alarm]) -> Iterator[tuple[str, bool]]:
        """The campaign's own queries in the order of time: each prompt, and whether it was answered before the stop.

        Where it was played into a log, the stop of an account is the first alarm that names it; over HTTP, whatever the
        gateway did.

        Raises:
            InputError: there is no such campaign; otherwise as `asked`.
        """
        if campaign not in self.key.campaigns():
            raise InputError(f"got campaign {shown(campaign)}, wanted one of {', '.join(sorted(self.key.campaigns()))}")
        stops = {} if self.is_live else caught_at(alarms)
        prompts = {row["id"]: row.get("prompt") for _, row in json_rows(self.root / OWN)} if self.is_live else {}
        found = [
            (asked.at, str(prompts.get(row["id"]) or _prompt(row)), asked.status == 200 and _before(asked, stops))
            for asked, row in ((self._asked(where, row), row) for where, row in self._exchanges())
            if asked.is_own and self.own[row["id"]] == campaign
        ]
        for _, prompt, is_served in sorted(found, key=lambda one: one[0]):
            yield prompt, is_served

    def _exchanges(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return json_rows(self.root / (ASKED if self.is_live else LOG))

    def _asked(self, where: str, row: dict[str, Any]) -> Asked:
        status = row.get("status", 200)
        is_own = _text(row, "id", where) in self.own
        return Asked(_text(row, "account", where), _number(row, "at", where), is_own, status)


def _then(real: list[float], so_far: list[float], at: float) -> float:
    """The simulated time at real time `at`: that of the latest ask until then; of the first one before."""
    return so_far[max(0, bisect_right(real, at) - 1)] if so_far else at


def _before(asked: Asked, stops: dict[str, float]) -> bool:
    return asked.at <= stops.get(asked.account, asked.at)


def _prompt(row: dict[str, Any]) -> str:
    """What the user said last, in an exchange line."""
    turns = row.get("messages") or []
    return next((str(turn.get("content", "")) for turn in reversed(turns) if turn.get("role") == "user"), "")


def _text(row: dict[str, Any], name: str, where: str) -> str:
    if not isinstance(value := row.get(name), str):
        raise InputError(f"{where}: got {name} {shown(value)}, wanted a text; play the scenario again")
    return value


def _number(row: dict[str, Any], name: str, where: str) -> float:
    if not isinstance(value := row.get(name), int | float):
        raise InputError(f"{where}: got {name} {shown(value)}, wanted a number; play the scenario again")
    return float(value)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; play the scenario again") from None
