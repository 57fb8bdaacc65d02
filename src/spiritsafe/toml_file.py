"""Files that people write in TOML: read, checked, and their first problem said in one line."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spiritsafe.errors import InputError, shown


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of the file at `path`; `what` is the word for it in errors ("recipe").

    Raises:
        InputError: there is no such file, or it is not TOML.
    """
    try:
        return parsed_toml(path.read_text(encoding="utf-8"), f"{what} {shown(str(path))}")
    except OSError as error:
        raise InputError(f"cannot read {what} {shown(str(path))}: {error.strerror}; give the path of one") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {shown(str(path))} is not TOML: {error}; save it as UTF-8") from None


def parsed_toml(text: str, where: str) -> dict[str, Any]:
    """The tables in `text`; `where` it comes from is said in errors.

    Raises:
        InputError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not TOML: {error}; mend that line") from None


def first_problem(error: ValidationError, names: Iterable[str]) -> str:
    """The first of the problems pydantic found, as part of a one-line message.

    `names` are the fields there are: the nearest is named where an unknown one came.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "top level"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        near = difflib.get_close_matches(str(first["loc"][-1]), sorted(names), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "remove it"
        return f"unknown field '{where}'; {hint}{more}"
    if first["type"] in ("missing", "missing_argument"):
        return f"field '{where}' is missing; add it{more}"
    return f"field '{where}': got {shown(first['input'])}, {first['msg'].removeprefix('Value error, ')}{more}"
