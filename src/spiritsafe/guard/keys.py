"""Customers' API keys: how one is made, told from a typing error, and kept so that a stolen file opens nothing.

A key is `ss-`, 43 characters of 256 random bits in base64url, and a checksum of 6 hex digits: scanners of public
repositories recognise a leaked one and a mistyped one is refused without a look-up. Kept is its digest, HMAC-SHA-256
under the deployment's own secret (the pepper). A key of so many bits needs no slow hash; and since it is looked up by
its digest, no comparison takes longer the more of a guess is right.

Pure, but for the randomness that `new_key` is handed.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256

PREFIX = "ss-"
KEY_BYTES = 32
PEPPER_BYTES = 32

_FORM = re.compile(rb"ss-[A-Za-z0-9_-]{43}[0-9a-f]{6}")


def new_key(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A new key; shown once to whom it is for, and never stored."""
    secret = PREFIX + urlsafe_b64encode(random_bytes(KEY_BYTES)).rstrip(b"=").decode()
    return secret + _checksum(secret.encode()).decode()


def is_well_formed(key: bytes) -> bool:
    """Whether `key` can be one of ours: its form and checksum are right. Says nothing about whether it is known."""
    return _FORM.fullmatch(key) is not None and hmac.compare_digest(_checksum(key[:-6]), key[-6:])


def digest_of(pepper: bytes, key: bytes) -> bytes:
    """What is kept of `key`, 32 bytes: HMAC-SHA-256 under `pepper`."""
    return hmac.digest(pepper, key, "sha256")


def hint_of(key: str) -> str:
    """What may be shown of a key, to tell one from another: its prefix and the first four characters after it."""
    return key[: len(PREFIX) + 4] + "…"


def _checksum(secret: bytes) -> bytes:
    return sha256(secret).hexdigest()[:6].encode()
