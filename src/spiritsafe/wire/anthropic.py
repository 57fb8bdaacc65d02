"""Anthropic messages.

System and developer turns move to the `system` field. `max_tokens` is always sent, since the format requires it. Of
the sampling only known fields are sent; `extra_body` of the endpoint comes after them and wins, and `Sampling.other`
comes last and wins over both. The format has no seed and no log-probabilities; both are refused, not left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire.base import Answer
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, load_object, malformed, text_of
from spiritsafe.wire.status import complaint_in, complaint_of, upstream_error
from spiritsafe.wire.turns import content_of, message_of, read_messages, read_object, reject_reserved, stops_of

API_VERSION = "2023-06-01"
"""The `anthropic-version` header: the only version there is."""

DEFAULT_MAX_TOKENS = 1024
"""Sent as `max_tokens` where the sampling sets none."""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""`stop_reason` to our words; others ("refusal", "pause_turn") are kept as they are."""

SAMPLING_FIELDS = ("temperature", "top_p", "max_tokens", "stop_sequences")
"""All that `render` sends of the sampling by itself."""

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_SYSTEM_ROLES = ("system", "developer")
_ERROR_STATUS = {"rate_limit_error": 429, "invalid_request_error": 400, "overloaded_error": 529}


@dataclass(frozen=True)
class AnthropicDialect:
    """Messages, version 2023-06-01."""

    name: str = "anthropic"
    path: str = "/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key and the format's version."""
        plain = {"content-type": "application/json", "anthropic-version": API_VERSION}
        return plain if key is None else plain | {"x-api-key": key}

    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        """The JSON body of one request.

        Raises:
            InputError: a seed or log-probabilities are asked for, or extra settings set `messages`, `stream` or `n`.
        """
        sampling = request.sampling
        if sampling.top_logprobs:
            raise InputError("the anthropic format gives no log-probabilities; remove top_logprobs from the sampling")
        if sampling.seed is not None:
            raise InputError("the anthropic format takes no seed; remove it from the sampling")
        system = [m.content for m in request.messages if m.role in _SYSTEM_ROLES]
        turns = [message_of(m) for m in request.messages if m.role not in _SYSTEM_ROLES]
        body: dict[str, Any] = {"model": model, "messages": turns}
        if system:
            body["system"] = "\n\n".join(system)
        _add_sampling(body, sampling)
        if extra_body or sampling.other:
            other = dict(sampling.other)
            reject_reserved(extra_body, other)
            body |= extra_body
            body |= other
        return orjson.dumps(body)

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body; see `wire.base.Dialect.parse`."""
        data = load_object(body, "a message")
        if data.get("type") == "error" or data.get("error"):
            status = _ERROR_STATUS.get(str(dict_of(data.get("error")).get("type")), 502)
            raise upstream_error(status, complaint_in(data), answered=True)
        if not isinstance(data.get("content"), list):
            raise malformed("a message with content", data)
        text, reasoning = content_of(data["content"])
        said = text_of(data.get("stop_reason")) or "unknown"
        return Answer(
            text,
            reasoning,
            FINISH_REASONS.get(said, said),
            usage_of(dict_of(data.get("usage"))),
            text_of(data.get("model")),
        )

    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        """The error in an unsuccessful answer."""
        return upstream_error(status, complaint_of(body), retry_after)

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model name and the request in a customer's body."""
        data = read_object(body)
        system, _ = content_of(data.get("system"))
        messages = ((Message("system", system),) if system else ()) + read_messages(data)
        known = {"model", "messages", "system", *SAMPLING_FIELDS}
        sampling = Sampling(
            temperature=amount_of(data.get("temperature")),
            top_p=amount_of(data.get("top_p")),
            max_tokens=count_of(data.get("max_tokens")),
            stop=stops_of(data.get("stop_sequences")),
            other=tuple(sorted((name, value) for name, value in data.items() if name not in known)),
        )
        return str(data.get("model", "")), Request(messages, sampling)

    def write(self, model: str, answer: Answer) -> bytes:
        """The body that gives `answer`."""
        thoughts = [{"type": "thinking", "thinking": answer.reasoning}] if answer.reasoning is not None else []
        body = {
            "type": "message",
            "role": "assistant",
            "model": answer.version or model,
            "content": [*thoughts, {"type": "text", "text": answer.text}],
            "stop_reason": _STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
            "usage": _written_usage(answer.usage),
        }
        return orjson.dumps(body)


ANTHROPIC = AnthropicDialect()


def _add_sampling(body: dict[str, Any], sampling: Sampling) -> None:
    body["max_tokens"] = DEFAULT_MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The counts in a message's `usage`.

    Anthropic counts cached and uncached input apart; ours is the sum, with the cached part beside it.
    """
    fresh = count_of(usage.get("input_tokens"))
    cached = count_of(usage.get("cache_read_input_tokens"))
    written = count_of(usage.get("cache_creation_input_tokens"))
    whole = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return Usage(whole, count_of(usage.get("output_tokens")), None, cached)


def _written_usage(usage: Usage) -> dict[str, Any]:
    cached = usage.cached_input_tokens
    fresh = None if usage.input_tokens is None else usage.input_tokens - (cached or 0)
    return {"input_tokens": fresh, "output_tokens": usage.output_tokens, "cache_read_input_tokens": cached}
