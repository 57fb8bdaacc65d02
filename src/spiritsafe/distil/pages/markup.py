"""Markup: HTML and SVG put together so that text from outside is always escaped.

`tag` escapes every child and attribute that is not already `Markup`, so a forgotten call cannot let a prompt or an
answer become markup. No template language: a page is a function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Self

_VOID = {"meta", "br", "hr", "img", "col", "link"}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls, and the marks that reorder or hide the text after them. Joiners and plain direction marks stay: words of
several scripts need them."""


class Markup(str):
    """Text that is already markup and goes into a page as it is."""

    __slots__ = ()

    def __add__(self, other: str) -> Self:
        return type(self)(str.__add__(self, markup(other)))


Child = str | int | float | None


def markup(child: Child) -> Markup:
    """`child` as markup: escaped unless it is markup already; None is nothing."""
    if isinstance(child, Markup):
        return child
    return Markup("" if child is None else escape(visible(str(child)), quote=True))


def visible(text: str) -> str:
    """`text` with control characters and overrides of the reading direction written out, e.g. ⟨U+202E⟩."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def joined(children: Iterable[Child]) -> Markup:
    """The children one after the other."""
    return Markup("".join(markup(child) for child in children))


def tag(name: str, /, *children: Child, **attributes: Child | bool) -> Markup:
    """One element.

    Attributes are written without a trailing underscore and with "-" for "_" (`class_`, `aria_label`); None and False
    are left out, True is written without a value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{joined(children)}</{name}>")


def _attribute(key: str, value: Child | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{markup(f"{value:.4g}" if isinstance(value, float) else value)}"'


def cut_text(text: str, limit: int) -> tuple[str, int]:
    """The first `limit` characters of `text` and how many were left off."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)
