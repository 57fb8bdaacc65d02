"""Opaque reasoning handles, bound to the account, the session and the model that they were issued to. Pure.

Models that think give their customers handles: signed or encrypted thinking that a later request brings back. Whoever
can bring one back elsewhere gets the thinking of one account continued in another, or read out by another model. So a
handle leaves as

    ssh1_ TAGS . HANDLE

where TAGS are four HMAC-SHA-256 of 16 bytes each, in base64url: that it was issued here, and for which account, session
and model. One that comes back with the wrong tag is refused, and which tag was wrong is evidence. What comes back in
order goes on to the upstream as the upstream gave it; nothing else in the request's bytes is touched.

Handles are the signatures and the redacted data of thinking blocks (messages), and the encrypted content of items
(responses).

Limits: a session is known by its first user message, so two conversations that begin alike are one session, and a
client that drops or rewrites the beginning of a conversation starts another one. Handles in chat completions, which
have no such field of their own, are passed on as they are.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import orjson

from spiritsafe.errors import InputError
from spiritsafe.wire.shapes import dict_of, list_of, text_of

Json = dict[str, Any]
Kind = Literal["account", "session", "model", "forged", "foreign"]

PREFIX = "ssh1_"
TAG_BYTES = 16
SURFACES = ("messages", "count_tokens", "responses")
"""Surfaces whose requests or answers hold handles."""

_TAGS = re.compile(r"[A-Za-z0-9_-]{86}")
_FIELD = re.compile(rb'("(?:signature|data|encrypted_content)"\s*:\s*)("[^"\\]*(?:\\.[^"\\]*)*")')
_MARKS = (b"signature", b"redacted_thinking", b"encrypted_content")

_ALSO = {
    "account": "by another account",
    "session": "in another conversation",
    "model": "with another model",
    "forged": "nowhere here, or was changed",
    "foreign": "before handles were bound here",
}


class Replayed(InputError):
    """A reasoning handle came to where it was not issued.

    Attributes:
        kind: what is wrong: it belongs to another "account", "session" or "model", it is "forged" (not issued here, or
            changed), or it is "foreign" (never wrapped).
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"got a reasoning handle that was issued {_ALSO[kind]}; leave that thinking out")
        self.kind = kind


def wrap(secret: bytes, account: str, session: str, model: str, handle: str) -> str:
    """`handle`, bound to the three."""
    tags = b"".join(_tags(secret, account, session, model, handle).values())
    return f"{PREFIX}{urlsafe_b64encode(tags).rstrip(b'=').decode()}.{handle}"


def unwrap(
    secret: bytes, account: str, session: str, model: str, wrapped: str, *, foreign: Literal["pass", "refuse"] = "pass"
) -> str:
    """The handle that `wrap` bound to the three; one that was never wrapped passes as it is, or is refused.

    Raises:
        Replayed: it is not theirs. Where several things are wrong, the first of `Replayed.kind` is named.
    """
    if not wrapped.startswith(PREFIX):
        if foreign == "refuse":
            raise Replayed("foreign")
        return wrapped
    written, _, handle = wrapped.removeprefix(PREFIX).partition(".")
    if _TAGS.fullmatch(written) is None:
        raise Replayed("forged")
    tags = urlsafe_b64decode(written + "==")
    right = _tags(secret, account, session, model, handle)
    wrong = [
        kind
        for at, (kind, tag) in enumerate(right.items())
        if not hmac.compare_digest(tag, tags[at * TAG_BYTES : (at + 1) * TAG_BYTES])
    ]
    if wrong:
        raise Replayed(wrong[0])
    return handle


def session_of(surface: str, body: Json) -> str:
    """What tells one conversation from another: a digest of its first user message, whatever the system prompt.

    Of the message its texts count, so that marks for caches and the like change nothing; all of it where it has none.
    """
    turns = body.get("input" if surface == "responses" else "messages")
    content: object = turns
    if not isinstance(turns, str):
        content = next((turn.get("content") for turn in map(dict_of, list_of(turns)) if turn.get("role") == "user"), "")
    if not isinstance(content, str):
        texts = [text for part in list_of(content) if (text := text_of(dict_of(part).get("text")))]
        content = "\n".join(texts) or orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    return sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Handles:
    """Wraps and unwraps the handles of one request and its answer.

    Attributes:
        secret: the deployment's; whoever has it can forge handles.
        account, session, model: whom handles are bound to.
        foreign: whether handles that were never wrapped pass, such as those from before.
    """

    secret: bytes
    account: str
    session: str
    model: str
    foreign: Literal["pass", "refuse"] = "pass"

    def concerns(self, data: bytes) -> bool:
        """Whether an answer or an event in these bytes may hold a handle."""
        return any(mark in data for mark in _MARKS)

    def wrap_in(self, body: Json) -> bool:
        """Wrap the handles of a whole answer in place; whether there were any."""
        return self._wrapped(_items(body.get("content")) + _items(body.get("output")))

    def wrap_event(self, event: Json) -> bool:
        """Wrap the handles of one event of a stream in place; whether there were any."""
        held = [part for name in ("content_block", "delta", "item") for part in _items([event.get(name)])]
        return self._wrapped(held + _items(dict_of(event.get("response")).get("output")))

    def unwrap_in(self, body: bytes, data: Json) -> bytes:
        """The request for the upstream: `body`, which `data` was read from, with handles as the upstream gave them.

        Raises:
            Replayed: one of them is not theirs.
        """
        if PREFIX.encode() not in body and self.foreign == "pass" and b"\\u" not in body:
            return body
        handles = {wrapped: self._unwrapped(wrapped) for wrapped in _brought(data)}
        changed = {wrapped: handle for wrapped, handle in handles.items() if handle != wrapped}
        return _replaced(body, changed) if changed else body

    def _wrapped(self, items: list[Json]) -> bool:
        changed = False
        for item in items:
            for name in _held_in(item):
                item[name] = wrap(self.secret, self.account, self.session, self.model, item[name])
                changed = True
        return changed

    def _unwrapped(self, wrapped: str) -> str:
        return unwrap(self.secret, self.account, self.session, self.model, wrapped, foreign=self.foreign)


def _tags(secret: bytes, account: str, session: str, model: str, handle: str) -> dict[Kind, bytes]:
    bound: dict[Kind, str] = {"forged": "", "account": account, "session": session, "model": model}
    return {
        kind: hmac.digest(secret, orjson.dumps(("reasoning handle", kind, value, handle)), "sha256")[:TAG_BYTES]
        for kind, value in bound.items()
    }


def _held_in(item: Mapping[str, Any]) -> list[str]:
    """Names of the fields of a block, a delta or an item that hold a handle."""
    kind = item.get("type")
    names = ["encrypted_content"]
    if kind in ("thinking", "signature_delta"):
        names.append("signature")
    if kind == "redacted_thinking":
        names.append("data")
    return [name for name in names if text_of(item.get(name))]


def _brought(data: Json) -> Iterator[str]:
    """The handles in a request."""
    blocks = [block for turn in _items(data.get("messages")) for block in _items(turn.get("content"))]
    for item in blocks + _items(data.get("input")):
        for name in _held_in(item):
            yield item[name]


def _replaced(body: bytes, handles: Mapping[str, str]) -> bytes:
    """`body` with the string literals of `handles` replaced where they are the value of a field for handles.

    Inside of a string every quotation mark is escaped, so what looks like such a field is one.
    """
    seen: set[str] = set()

    def replaced(match: re.Match[bytes]) -> bytes:
        wrapped = orjson.loads(match[2])
        if wrapped not in handles:
            return match[0]
        seen.add(wrapped)
        return match[1] + orjson.dumps(handles[wrapped])

    whole = _FIELD.sub(replaced, body)
    if seen != set(handles):
        raise Replayed("forged")  # the field's name was written with escapes, which no client does
    return whole


def _items(values: object) -> list[Json]:
    return [value for value in list_of(values) if isinstance(value, dict)]
