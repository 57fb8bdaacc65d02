"""A stream put together again is the same however it was cut, is JSON whatever came, and its reader can read it."""

from __future__ import annotations

from contextlib import suppress

import orjson
from tests.guard.gateway.wires import cut

from fuzz import parts, seed
from fuzz.streams import STREAMS, WORDS
from spiritsafe.errors import UpstreamError
from spiritsafe.wire.surfaces import SURFACES

_FOLDED = [one for one in SURFACES if one.fold is not None]

SEEDS = tuple(
    seed(choice, cuts, stream)
    for choice, one in enumerate(_FOLDED)
    for cuts in ([], [30, 100])
    for stream in (STREAMS[one.name], STREAMS[one.name].replace(b"\n", b"\r\n"))
)

__all__ = ["SEEDS", "WORDS", "check"]


def check(data: bytes) -> None:
    """Cut or whole, the same comes out."""
    choice, cuts, stream = parts(data)
    surface = _FOLDED[choice % len(_FOLDED)]
    assert surface.fold is not None
    assert surface.reader is not None
    whole, pieces = surface.fold(), surface.fold()
    whole.feed(stream)
    for piece in cut(stream, cuts):
        pieces.feed(piece)
    body = whole.body()
    assert pieces.body() == body
    assert (whole.finished, whole.unreadable, whole.usage()) == (pieces.finished, pieces.unreadable, pieces.usage())
    assert isinstance(orjson.loads(body), dict)
    with suppress(UpstreamError):
        surface.reader.parse(body)
