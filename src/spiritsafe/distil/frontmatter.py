"""Front matter: plain values as YAML that no string can break out of, and text from outside as plain Markdown.

Strings are written as JSON strings, which every YAML reader takes for double-quoted scalars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from spiritsafe.distil.pages.markup import visible

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")
_PLAIN_KEY = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z_-]*")
_NOT_CHARACTERS = re.compile("[\ufffe\uffff]")


def front_matter(values: Mapping[str, Any]) -> str:
    """`values` between the two lines of dashes; what is None is left out.

    Values are strings, numbers, booleans, and lists and mappings of these.
    """
    return "---\n" + "\n".join(_mapping(values, 0)) + "\n---\n"


def _mapping(values: Mapping[str, Any], depth: int) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        if value is not None:
            head = f"{'  ' * depth}{key if _PLAIN_KEY.fullmatch(key) else _scalar(key)}:"
            lines += _under(head, value, depth)
    return lines


def _under(head: str, value: Any, depth: int) -> list[str]:
    if isinstance(value, Mapping):
        return [head, *_mapping(value, depth + 1)] if value else [f"{head} {{}}"]
    if isinstance(value, list | tuple):
        return [head, *(line for one in value for line in _item(one, depth))] if value else [f"{head} []"]
    return [f"{head} {_scalar(value)}"]


def _item(value: Any, depth: int) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{'  ' * depth}- {_scalar(value)}"]
    first, *rest = _mapping(value, depth + 1)
    return [f"{'  ' * depth}- {first.lstrip()}", *rest]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(_NOT_CHARACTERS.sub("�", visible(value)), ensure_ascii=False)
    # YAML 1.1 takes 1e-07 for text: a number needs its point.
    return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value))


def markdown(text: str) -> str:
    """`text` as one line of plain Markdown: nothing in it is markup, a link or a heading."""
    return _MARKDOWN.sub(r"\\\1", " ".join(visible(text).split()))
