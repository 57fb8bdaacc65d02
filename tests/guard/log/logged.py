"""Records as a gateway writes them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.exchanges.segments import SegmentWriter
from spiritsafe.guard.log.records import encode_ended, encode_received, encode_whole

AT = 1_764_000_000.0
"""24 November 2025, 16:00 UTC: the start of an hour."""

REQUEST: dict[str, Any] = {
    "model": "big-1",
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "2 + 2?"}],
    "temperature": 0.7,
}
RESPONSE: dict[str, Any] = {
    "model": "big-1-2025",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1},
}
DECISION: dict[str, Any] = {
    "id": "D-7K3F-92QX",
    "action": "observe",
    "reasons": ["asks a lot"],
    "by": "policy",
    "shadow": True,
}


def received_fields(identity: str, **more: Any) -> dict[str, Any]:
    fields = {"id": identity, "at": AT, "account": "acme", "segment": "ordinary", "surface": "chat", "model": "big-1"}
    return {**fields, "upstream": "main", "stream": False, "client": {"ip": "192.0.2.1", "org": "Acme"}, **more}


def ended_fields(identity: str, **more: Any) -> dict[str, Any]:
    fields = {"id": identity, "ended_at": AT + 1, "status": 200, "outcome": "completed", "tokens": [12, 1]}
    return {**fields, "first_byte_s": 0.25, "last_byte_s": 1.0, "decision": DECISION, "dollars": 0.01, **more}


def received(identity: str, request: Any = REQUEST, **more: Any) -> bytes:
    return encode_received(received_fields(identity, **more), orjson.dumps(request))


def ended(identity: str, response: Any = RESPONSE, **more: Any) -> bytes:
    return encode_ended(ended_fields(identity, **more), orjson.dumps(response))


def whole(identity: str, request: Any = REQUEST, response: Any = RESPONSE, **more: Any) -> bytes:
    names = ("at", "account", "segment", "surface", "model", "upstream", "stream", "client")
    asked = {name: more.pop(name) for name in names if name in more}
    return encode_whole(
        received_fields(identity, **asked),
        orjson.dumps(request),
        ended_fields(identity, **more),
        orjson.dumps(response),
    )


def write(folder: Path, *batches: Sequence[bytes]) -> None:
    """One closed segment with `batches` in the log at `folder`."""
    segments = folder / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    writer = SegmentWriter(segments)
    for batch in batches:
        writer.append(batch)
    writer.close()
