"""OpenAI responses.

Turns are sent as items of `input`, system turns among them (`wire.responses_items`). Of the sampling only known fields
are sent; `extra_body` of the endpoint comes after them and wins, and `Sampling.other` comes last and wins over both.
The format has no seed; it is refused, not left out. OpenAI's own list of parameters has no `stop` either; it is sent,
so that an upstream that does not know it can say so.

Source: OpenAI API reference, "Responses", as of the types in openai-python 3.57.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Request, Sampling, TokenLogprobs, Usage
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.chat_logprobs import packed_logprobs
from spiritsafe.wire.responses_items import items_of, read_turns
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, load_object, malformed, text_of
from spiritsafe.wire.status import complaint_in, complaint_of, upstream_error
from spiritsafe.wire.think import split_think
from spiritsafe.wire.turns import read_object, reject_reserved, stops_of

SAMPLING_FIELDS: Final = ("temperature", "top_p", "max_output_tokens", "stop", "top_logprobs", "include")
"""All that `render` sends of the sampling by itself."""

LOGPROBS: Final = "message.output_text.logprobs"
"""What `include` has to name for log-probabilities to be in the answer."""

FINISH_REASONS: Final = {"max_output_tokens": "length"}
"""Why an answer is incomplete, to our words; others ("content_filter") are kept as they are."""

_PROMPT: Final = ("input", "instructions")
_ERROR_STATUS: Final = {"rate_limit_exceeded": 429, "invalid_prompt": 400}


@dataclass(frozen=True)
class ResponsesDialect:
    """Responses, without streams and without what the upstream keeps between requests."""

    name: str = "responses"
    path: str = "/responses"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key as a bearer token."""
        return CHAT.headers(key)

    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        """The JSON body of one request.

        Raises:
            InputError: a seed is asked for, or extra settings set `input`, `instructions`, `messages`, `stream` or `n`.
        """
        sampling = request.sampling
        if sampling.seed is not None:
            raise InputError("the responses format takes no seed; remove it from the sampling")
        body: dict[str, Any] = {"model": model, "input": items_of(request.messages)}
        _add_sampling(body, sampling)
        other = dict(sampling.other)
        reject_reserved(extra_body, other)
        for name in _PROMPT:
            if name in extra_body or name in other:
                raise InputError(f"got an extra setting {name}, wanted none: the prompt decides it; remove it")
        return orjson.dumps(body | dict(extra_body) | other)

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body; see `wire.base.Dialect.parse`."""
        data = load_object(body, "a response")
        if data.get("error"):
            status = _ERROR_STATUS.get(str(dict_of(data["error"]).get("code")), 502)
            raise upstream_error(status, complaint_in(data), answered=True)
        if not isinstance(data.get("output"), list):
            raise malformed("a response with output", data)
        items = [dict_of(item) for item in data["output"]]
        parts = list(_parts(items))
        is_refusal = any(part.get("type") == "refusal" for part in parts)
        text, reasoning = _joined(parts, "output_text", "text"), _reasoning(items)
        if is_refusal:
            text = _joined(parts, "refusal", "refusal")
        elif reasoning is None:
            text, reasoning = split_think(text)
        return Answer(
            text,
            reasoning,
            "refusal" if is_refusal else _finish_reason(data, items),
            usage_of(dict_of(data.get("usage"))),
            text_of(data.get("model")),
            logprobs=_logprobs(parts),
        )

    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        """The error in an unsuccessful answer."""
        return upstream_error(status, complaint_of(body), retry_after)

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model name and the request in a customer's body."""
        data = read_object(body)
        known = {"model", *_PROMPT, *SAMPLING_FIELDS}
        include = data.get("include")
        asks = isinstance(include, list) and LOGPROBS in include
        other = [(name, value) for name, value in data.items() if name not in known]
        if include is not None and include != [LOGPROBS]:
            other.append(("include", include))
        sampling = Sampling(
            temperature=amount_of(data.get("temperature")),
            top_p=amount_of(data.get("top_p")),
            max_tokens=count_of(data.get("max_output_tokens")),
            stop=stops_of(data.get("stop")),
            top_logprobs=count_of(data.get("top_logprobs")) if asks else None,
            other=tuple(sorted(other, key=lambda pair: pair[0])),
        )
        return str(data.get("model", "")), Request(read_turns(data), sampling)

    def write(self, model: str, answer: Answer) -> bytes:
        """The body that gives `answer`."""
        why = answer.finish_reason
        is_whole = why in ("stop", "tool_calls", "refusal")
        body = {
            "object": "response",
            "model": answer.version or model,
            "status": "completed" if is_whole else "incomplete",
            "error": None,
            "incomplete_details": None if is_whole else {"reason": _REASONS.get(why, why)},
            "output": list(_written(answer)),
            "usage": _written_usage(answer.usage),
        }
        return orjson.dumps(body)


RESPONSES = ResponsesDialect()

_REASONS: Final = {word: reason for reason, word in FINISH_REASONS.items()}


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The counts in a response's `usage`."""
    return Usage(
        count_of(usage.get("input_tokens")),
        count_of(usage.get("output_tokens")),
        count_of(dict_of(usage.get("output_tokens_details")).get("reasoning_tokens")),
        count_of(dict_of(usage.get("input_tokens_details")).get("cached_tokens")),
    )


def _add_sampling(body: dict[str, Any], sampling: Sampling) -> None:
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        body["max_output_tokens"] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.top_logprobs:
        body["top_logprobs"] = sampling.top_logprobs
        body["include"] = [LOGPROBS]


def _parts(items: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The content parts of all messages."""
    for item in items:
        if item.get("type") == "message":
            yield from map(dict_of, list_of(item.get("content")))


def _joined(parts: list[Mapping[str, Any]], kind: str, field: str) -> str:
    """The texts of the parts of one type, as OpenAI's own client joins them (`output_text`)."""
    return "".join(text_of(part.get(field)) or "" for part in parts if part.get("type") == kind)


def _reasoning(items: list[Mapping[str, Any]]) -> str | None:
    """The thinking itself where it is given, else its summary."""
    thoughts = []
    for item in items:
        if item.get("type") == "reasoning":
            told = list_of(item.get("content")) or list_of(item.get("summary"))
            thoughts += [text_of(dict_of(part).get("text")) or "" for part in told]
    return "\n\n".join(filter(None, thoughts)) or None


def _finish_reason(data: Mapping[str, Any], items: list[Mapping[str, Any]]) -> str:
    """Our word for how it ended; a response that goes on ("in_progress", "queued") keeps the upstream's."""
    status = text_of(data.get("status"))
    if status == "incomplete":
        why = text_of(dict_of(data.get("incomplete_details")).get("reason")) or status
        return FINISH_REASONS.get(why, why)
    if status != "completed":
        return status or "unknown"
    return "tool_calls" if any(item.get("type") in ("function_call", "custom_tool_call") for item in items) else "stop"


def _logprobs(parts: list[Mapping[str, Any]]) -> TokenLogprobs | None:
    entries = [entry for part in parts for entry in list_of(part.get("logprobs"))]
    return packed_logprobs({"content": entries}) if entries else None


def _written(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.reasoning is not None:
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": answer.reasoning}]}
    is_refusal = answer.finish_reason == "refusal"
    kind, field = ("refusal", "refusal") if is_refusal else ("output_text", "text")
    yield {"type": "message", "role": "assistant", "content": [{"type": kind, field: answer.text}]}
    if answer.finish_reason == "tool_calls":
        yield {"type": "function_call", "call_id": "", "name": "", "arguments": ""}


def _written_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
