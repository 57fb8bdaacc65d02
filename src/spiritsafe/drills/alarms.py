"""Alarms as a detection side writes them, one JSON object a line: read as anybody could read them, from the file alone.

{"scope": "account", "subject": "acct-1", "accounts": ["acct-1"], "at": 1780272000.5, "exchanges_seen": 40,
 "e_value": 2300.0, "evidence": [...], "void": [...]}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spiritsafe.errors import InputError, shown
from spiritsafe.toml_file import first_problem


class Alarm(BaseModel):
    """One alarm; what a score has no use for is not looked at.

    Attributes:
        scope: what it is about.
        subject: the id of that.
        accounts: those it names.
        at: unix seconds of the exchange that raised it.
        void: what could not fire; an entry is a name, or an object with more.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    scope: Literal["request", "account", "campaign"]
    subject: str
    # a list in JSON, which strict pydantic does not take for a tuple
    accounts: list[str] = Field(min_length=1)
    at: float = Field(allow_inf_nan=False)
    void: list[Any] = []

    @property
    def void_names(self) -> tuple[str, ...]:
        """Names of what could not fire."""
        return tuple(str(one.get("detector", one)) if isinstance(one, dict) else str(one) for one in self.void)


def read_alarms(path: Path) -> list[Alarm]:
    """The alarms in the file at `path`, in the order of time.

    Raises:
        InputError: it cannot be read, or a line is no alarm; the message names the line.
    """
    return sorted(_alarms(path), key=lambda alarm: alarm.at)


def _alarms(path: Path) -> Iterator[Alarm]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _alarm(path, number, line)
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; give a file of alarms") from None


def _alarm(path: Path, number: int, line: bytes) -> Alarm:
    try:
        return Alarm.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: not JSON ({error}); mend or remove that line") from None
    except ValidationError as error:
        raise InputError(f"{path}:{number}: no alarm: {first_problem(error, Alarm.model_fields)}") from None
