"""JSON answers: read them strictly, say where they differ from the known one, whether they fit a schema, and whether
their strings come from the prompt.

Pure. Places are written as paths without list indices ("items[].price"), so that reasons can be counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any, Final

from spiritsafe.errors import InputError
from spiritsafe.text.normal import folded, squeezed
from spiritsafe.text.numbers import near

NOT_JSON: Final = object()
"""What `parsed` gives for text that is not JSON (None is JSON's null)."""

_FENCED = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"{digits} is beyond what a number can hold")
    return number


def parsed(text: str) -> Any:
    """The JSON value that is all of `text`, or all of its one fenced block; else `NOT_JSON`."""
    fenced = _FENCED.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return NOT_JSON


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(path: str) -> str:
    return path.lstrip(".") or "value"


def difference(came: Any, wanted: Any, tolerance: float, ignore_case: bool, path: str = "") -> str | None:
    """Where `came` first differs from `wanted`, in words ("price differs"), or None where they are equal.

    Objects are equal whatever the order of their fields; numbers up to `tolerance`; strings after trimming.
    """
    if isinstance(came, dict) and isinstance(wanted, dict):
        return _objects_differ(came, wanted, tolerance, ignore_case, path)
    if isinstance(came, list) and isinstance(wanted, list):
        if len(came) != len(wanted):
            return f"{_at(path)} has another length"
        pairs = zip(came, wanted, strict=True)
        found = (difference(a, b, tolerance, ignore_case, f"{path}[]") for a, b in pairs)
        return next((each for each in found if each), None)
    return None if _leaves_equal(came, wanted, tolerance, ignore_case) else f"{_at(path)} differs"


def _objects_differ(
    came: Mapping[str, Any], wanted: Mapping[str, Any], tolerance: float, ignore_case: bool, path: str
) -> str | None:
    for key, value in wanted.items():
        if key not in came:
            return f"{_at(f'{path}.{key}')} missing"
        if found := difference(came[key], value, tolerance, ignore_case, f"{path}.{key}"):
            return found
    # The name of a field the teacher made up would give every row a reason of its own.
    return None if len(came) == len(wanted) else f"extra field in {_at(path)}"


def _leaves_equal(came: Any, wanted: Any, tolerance: float, ignore_case: bool) -> bool:
    if _is_number(came) and _is_number(wanted):
        return near(Fraction(came), Fraction(wanted), tolerance)
    if isinstance(came, str) and isinstance(wanted, str):
        return (folded(came).strip() == folded(wanted).strip()) if ignore_case else came.strip() == wanted.strip()
    return type(came) is type(wanted) and bool(came == wanted)


def schema_check(schema: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """A function that says which keyword of `schema` (JSON Schema 2020-12) a value breaks and where, or None.

    References to other documents are never fetched.

    Raises:
        InputError: `schema` is not a JSON Schema; later, from the function, one of its references leads nowhere.
    """
    # Imported here: with its dependencies it takes a tenth of a second, which runs without a schema need not pay.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import EMPTY_REGISTRY

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"verifier json_schema is not a JSON Schema: {error.message}; mend it") from None
    validator = Draft202012Validator(schema, registry=EMPTY_REGISTRY)

    def broken(value: Any) -> str | None:
        try:
            worst = best_match(validator.iter_errors(value))
        except Unresolvable as error:
            raise InputError(f"verifier json_schema has a reference that leads nowhere: {error}; mend it") from None
        if worst is None:
            return None
        path = "".join(f".{step}" if isinstance(step, str) else "[]" for step in worst.absolute_path)
        return f"{_at(path)} fails {worst.validator}"

    return broken


def _free_strings(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(path, string) of every string leaf, but for those whose schema lists the allowed values."""
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        for key, inner in value.items():
            yield from _free_strings(inner, _sub(fields.get(key)), f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _free_strings(inner, _sub(schema.get("items")), f"{path}[]")
    elif isinstance(value, str) and "enum" not in schema and "const" not in schema:
        yield path, value


def _sub(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def ungrounded(value: Any, prompt: str, schema: Mapping[str, Any], ignore_case: bool) -> str | None:
    """Which string of `value` does not occur in `prompt` ("city not in the prompt"), or None where all do.

    Runs of white space count as one space. Strings whose schema has "enum" or "const" are labels, not quotations, and
    need not occur.
    """
    plain = (lambda text: folded(squeezed(text))) if ignore_case else squeezed
    given = plain(prompt)
    missing = (path for path, text in _free_strings(value, schema) if plain(text) not in given)
    first = next(missing, None)
    return None if first is None else f"{_at(first)} not in the prompt"
