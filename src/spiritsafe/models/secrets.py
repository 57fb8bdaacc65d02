"""API keys: read from the environment once, and kept out of everything that is shown or stored.

`Secret` holds a key so that printing it shows nothing, and takes it out of any text or body that an upstream sent. An
upstream may echo a key back, whole or masked, in an error or even in an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spiritsafe.errors import InputError

HIDDEN = "[key]"

_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|fw|tgp|nvapi)[-_][\w*.…-]{6,}|\bBearer [\w*.…-]{16,}")
"""How the keys of the usual providers look, also with their middle masked."""


class Secret:
    """A key, or none. Shows as `[key]`."""

    __slots__ = ("_bytes", "_text")

    def __init__(self, text: str | None) -> None:
        self._text = text
        self._bytes = text.encode() if text else b""

    def __repr__(self) -> str:
        return HIDDEN if self._text else "no key"

    def reveal(self) -> str | None:
        """The key itself, for the header that carries it."""
        return self._text

    def out_of(self, text: str) -> str:
        """`text` without the key, and without anything that looks like a key."""
        if self._text:
            text = text.replace(self._text, HIDDEN)
        return _KEY_LIKE.sub(HIDDEN, text)

    def out_of_body(self, body: bytes) -> bytes:
        """`body` without the key itself."""
        if self._bytes and self._bytes in body:
            return body.replace(self._bytes, HIDDEN.encode())
        return body


def read_key(key_env: str | None, environ: Mapping[str, str]) -> Secret:
    """The key in the environment variable `key_env`; none where no variable is named.

    Raises:
        InputError: the variable is not set, or what it holds cannot be a key.
    """
    if key_env is None:
        return Secret(None)
    text = environ.get(key_env, "").strip()
    if not text:
        raise InputError(f"${key_env} is not set; set it to the API key, e.g.  export {key_env}=...")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(f"${key_env} holds spaces or characters that no API key has; set it to the key alone")
    return Secret(text)
