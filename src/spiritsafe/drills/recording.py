"""From a cue to the exchange that a gateway would have logged, with what a scripted model answers.

All exchanges are made here, in one way, whoever asks. What is drawn for an exchange (where its answer starts, how long
the model took) is taken from its id, which says nothing.
"""

from __future__ import annotations

from functools import cache

from spiritsafe.drills.acting import Ask, Reply
from spiritsafe.drills.play import Cue
from spiritsafe.drills.texts.passages import cut
from spiritsafe.exchanges.record import Exchange, Source, Timing, Usage

CHARS_A_TOKEN = 4
"""The usual estimate for English."""

_TURN_TOKENS = 4
_FIRST_TOKEN_MS = 250
_TOKEN_MS = 12

_SURFACES = {"chat": "chat", "anthropic": "messages", "responses": "responses"}

_REFUSED = {
    "outcome": "refused",
    "status": 403,
    "refusal": {"status": 403, "code": "account_blocked", "message": "this account is blocked; write to support"},
}


def recorded(cue: Cue, *, is_refused: bool) -> tuple[Exchange, Reply]:
    """(the exchange of `cue`, what its actor is told)."""
    ask = cue.ask
    passed = _passed(ask.dialect, ask.account[-1])
    if is_refused:
        return _exchange(cue, "", "error", Usage(), Timing(), {**passed, **_REFUSED}), Reply("", True)
    chance, messages = int(cue.id[:8], 16), ask.messages
    text, tokens, finish_reason = _answer(ask, chance)
    asked = sum([len(message.content) for message in messages])
    usage = Usage(asked // CHARS_A_TOKEN + _TURN_TOKENS * len(messages), tokens)
    first_ms = _FIRST_TOKEN_MS + (chance & 511)
    timing = Timing(first_ms / 1e3, (first_ms + _TOKEN_MS * tokens) / 1e3)
    return _exchange(cue, text, finish_reason, usage, timing, passed), Reply(text)


def _answer(ask: Ask, chance: int) -> tuple[str, int, str]:
    """(text, tokens, finish reason)."""
    text, topic, chars = ask.wanted
    if topic is not None:
        text = cut(topic, chance, chars)
    tokens, most = -(-len(text) // CHARS_A_TOKEN), ask.sampling.max_tokens
    if most is not None and tokens > most:
        return text[: most * CHARS_A_TOKEN], most, "length"
    return text, tokens, "stop"


def _exchange(
    cue: Cue, text: str, finish_reason: str, usage: Usage, timing: Timing, other: dict[str, object]
) -> Exchange:
    ask = cue.ask
    return Exchange(
        id=cue.id,
        at=cue.at,
        dialect=ask.dialect,
        messages=ask.messages,
        sampling=ask.sampling,
        answer=text,
        finish_reason=finish_reason,
        usage=usage,
        timing=timing,
        source=_source(ask.model),
        account=ask.account,
        segment=ask.segment,
        client=ask.client,
        other=other,
    )


@cache
def _source(model: str) -> Source:
    return Source(endpoint="main", model=model, version=model)


def asks_for_stream(account: str) -> bool:
    """Whether an account wants its answers as streams: half of them do, by the last digit of their names."""
    return int(account[-1], 16) % 2 == 1


@cache
def _passed(dialect: str, digit: str) -> dict[str, object]:
    """What a gateway's log says besides."""
    return {"surface": _SURFACES[dialect], "outcome": "completed", "status": 200, "stream": asks_for_stream(digit)}
