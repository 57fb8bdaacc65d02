"""An edited stream is the same however it was cut, leaves what is not edited as it came, and holds nothing withheld."""

from __future__ import annotations

from typing import Any

import orjson
from tests.guard.gateway.wires import cut

from fuzz import parts, seed
from fuzz.streams import STREAMS, WORDS
from spiritsafe.guard.gateway.edits import Edits, edits_for
from spiritsafe.guard.gateway.shaping import StreamShaper, Unreadable, edited_body
from spiritsafe.guard.handles import PREFIX, Handles
from spiritsafe.guard.hygiene import Hygiene, editor_for
from spiritsafe.wire.shapes import dict_of, list_of, loaded
from spiritsafe.wire.sse import Splitter, data_of

_SURFACES = ("chat", "completions", "responses", "messages")
_HYGIENE = (
    Hygiene(reasoning="withheld", max_top_logprobs=0, logprob_decimals=1),
    Hygiene(reasoning="summarised", strip_logprobs=True),
    Hygiene(max_top_logprobs=1, logprob_decimals=1, bind_handles=True),
    Hygiene(),
)

SEEDS = tuple(
    seed(kind * len(_SURFACES) + at, cuts, STREAMS[name])
    for kind in range(len(_HYGIENE))
    for at, name in enumerate(_SURFACES)
    for cuts in ([], [40, 200])
)

__all__ = ["SEEDS", "WORDS", "check"]


def check(data: bytes) -> None:
    """Cut or whole, the same comes out, and nothing that was to stay."""
    choice, cuts, stream = parts(data)
    surface, hygiene = _SURFACES[choice % 4], _HYGIENE[choice // 4 % 4]
    whole = _shaped(surface, hygiene, [stream])
    assert _split(_shaped(surface, hygiene, cut(stream, cuts))) == _split(whole)
    _check_body(surface, hygiene, stream)
    if hygiene == Hygiene():
        assert whole == stream
    elif hygiene.reasoning != "raw":
        for event in _events(whole):
            _check_withheld(surface, event)
    if hygiene.bind_handles and surface == "messages":
        for event in _events(whole):
            _check_bound(event)


def _edits(surface: str, hygiene: Hygiene) -> Edits | None:
    handles = Handles(b"s" * 32, "acme", "session", "m") if hygiene.bind_handles else None
    return edits_for(editor_for(hygiene, surface, "allow", None, summarise=_summary), handles)


def _summary(thinking: str) -> str:
    return f"{len(thinking)} characters of thinking"


def _shaped(surface: str, hygiene: Hygiene, pieces: list[bytes]) -> bytes:
    edits = _edits(surface, hygiene)
    if edits is None:
        return b"".join(pieces)
    shaper = StreamShaper(edits)
    return b"".join([*map(shaper.feed, pieces), shaper.rest()])


def _check_body(surface: str, hygiene: Hygiene, body: bytes) -> None:
    """The same bytes taken for a whole answer raise nothing but what is said."""
    edits = _edits(surface, hygiene)
    if edits is None:
        return
    try:
        edited = edited_body(edits, body)
    except Unreadable:
        return
    if edited != body:
        orjson.loads(edited)


def _split(stream: bytes) -> list[bytes]:
    """The events as they stand; how many blank lines are between them makes no difference to anybody."""
    return Splitter().feed(stream + b"\n\n")


def _events(stream: bytes) -> list[dict[str, Any]]:
    found = []
    for event in _split(stream):
        try:
            value = loaded(data_of(event) or b"null")
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _check_withheld(surface: str, event: dict[str, Any]) -> None:
    """No field that the format has for thinking has the upstream's in it."""
    if surface == "messages":
        delta = dict_of(event.get("delta"))
        if event.get("type") == "content_block_delta" and delta.get("type") == "thinking_delta":
            assert "SECRET" not in str(delta.get("thinking")), "thinking got out"
        return
    if surface != "chat":
        return
    for choice in list_of(event.get("choices")):
        delta = dict_of(dict_of(choice).get("delta"))
        for name in ("reasoning_content", "reasoning"):
            assert "SECRET" not in str(delta.get(name)), "thinking got out"


def _check_bound(event: dict[str, Any]) -> None:
    delta = dict_of(event.get("delta"))
    if event.get("type") == "content_block_delta" and delta.get("type") == "signature_delta":
        signature = delta.get("signature")
        assert not signature or not isinstance(signature, str) or signature.startswith(PREFIX), (
            "a handle got out unbound"
        )
