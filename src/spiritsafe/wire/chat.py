"""OpenAI chat completions, as OpenAI speaks it and those who imitate it (vLLM, SGLang, llama.cpp, Ollama, OpenRouter).

Two rows of one class: `CHAT` sends the limit on the answer as `max_tokens`, which every imitator takes; `OPENAI` sends
it as `max_completion_tokens`, which OpenAI's own reasoning models insist on. Answers are read the same way.

Of the sampling only known fields are sent; `extra_body` of the endpoint comes after them and wins, and
`Sampling.other` comes last and wins over both. Streams and several choices an answer are not asked for: a sample is a
request of its own, so that each is stored and paid for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Request, Sampling, Usage
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat_logprobs import packed_logprobs
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, load_object, malformed, text_of, whole_of
from spiritsafe.wire.status import complaint_in, complaint_of, upstream_error
from spiritsafe.wire.think import split_think
from spiritsafe.wire.turns import content_of, message_of, read_messages, read_object, reject_reserved, stops_of

FINISH_REASONS = {
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "function_call": "tool_calls",
}
"""Other words that imitators use (Together "eos", Mistral "model_length", OpenAI's old "function_call")."""

SAMPLING_FIELDS = ("temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs")
"""All that `render` sends of the sampling by itself, besides the limit on the answer."""

_LIMITS = ("max_completion_tokens", "max_tokens")


@dataclass(frozen=True)
class ChatDialect:
    """Chat completions; `limit_field` is the name of the field that limits the answer's tokens."""

    name: str
    limit_field: str
    path: str = "/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key as a bearer token."""
        plain = {"content-type": "application/json"}
        return plain if key is None else plain | {"authorization": f"Bearer {key}"}

    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        """The JSON body of one request.

        Raises:
            InputError: `extra_body` or `Sampling.other` sets `messages`, `stream` or `n`.
        """
        body: dict[str, Any] = {"model": model, "messages": [message_of(m) for m in request.messages]}
        self._add_sampling(body, request.sampling)
        if extra_body or request.sampling.other:
            other = dict(request.sampling.other)
            reject_reserved(extra_body, other)
            body |= extra_body
            body |= other
        return orjson.dumps(body)

    def _add_sampling(self, body: dict[str, Any], sampling: Sampling) -> None:
        if sampling.max_tokens is not None:
            body[self.limit_field] = sampling.max_tokens
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.top_logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = sampling.top_logprobs

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body; see `wire.base.Dialect.parse`."""
        data = load_object(body, "a chat completion")
        choice = first_choice(data)
        message = dict_of(choice.get("message"))
        text, reasoning = _text_and_reasoning(message)
        finish_reason = finish_reason_of(choice)
        refusal = text_of(message.get("refusal"))
        if refusal is not None:
            text, finish_reason = refusal, "refusal"
        usage = dict_of(data.get("usage"))
        logprobs = choice.get("logprobs")
        return Answer(
            text,
            reasoning,
            finish_reason,
            usage_of(usage),
            text_of(data.get("model")),
            text_of(data.get("system_fingerprint")),
            amount_of(usage.get("cost")),
            packed_logprobs(logprobs) if logprobs else None,
        )

    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        """The error in an unsuccessful answer."""
        return upstream_error(status, complaint_of(body), retry_after)

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model name and the request in a customer's body."""
        data = read_object(body)
        known = {"model", "messages", *_LIMITS, *SAMPLING_FIELDS}
        other = tuple(sorted((name, value) for name, value in data.items() if name not in known))
        limits = [limit for limit in (count_of(data.get(name)) for name in _LIMITS) if limit is not None]
        sampling = Sampling(
            temperature=amount_of(data.get("temperature")),
            top_p=amount_of(data.get("top_p")),
            max_tokens=limits[0] if limits else None,
            seed=whole_of(data.get("seed")),
            stop=stops_of(data.get("stop")),
            top_logprobs=count_of(data.get("top_logprobs")) if data.get("logprobs") else None,
            other=other,
        )
        return str(data.get("model", "")), Request(read_messages(data), sampling)

    def write(self, model: str, answer: Answer) -> bytes:
        """The body that gives `answer`."""
        refused = answer.finish_reason == "refusal"
        message: dict[str, Any] = {"role": "assistant", "content": None if refused else answer.text}
        if refused:
            message["refusal"] = answer.text
        if answer.reasoning is not None:
            message["reasoning_content"] = answer.reasoning
        body = {
            "object": "chat.completion",
            "model": answer.version or model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop" if refused else answer.finish_reason}],
            "usage": _written_usage(answer),
        }
        if answer.fingerprint is not None:
            body["system_fingerprint"] = answer.fingerprint
        return orjson.dumps(body)


CHAT = ChatDialect("chat", "max_tokens")
OPENAI = ChatDialect("openai", "max_completion_tokens")


def first_choice(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one choice asked for, or the first of several.

    Raises:
        UpstreamError: an error object stands in its place, or in it; or there is none.
    """
    choices = list_of(data.get("choices"))
    choice = dict_of(choices[0]) if choices else {}
    for holder in (choice, data):
        if holder.get("error"):
            raise error_inside(holder)
    if not choice:
        raise malformed("a chat completion with one choice", data)
    return choice


def error_inside(holder: Mapping[str, Any]) -> UpstreamError:
    """The error in a body with status 200, where OpenRouter and some proxies put that of the upstream behind them."""
    code = dict_of(holder["error"]).get("code")
    status = code if type(code) is int and 400 <= code < 600 else 502
    return upstream_error(status, complaint_in(holder), answered=True)


def _text_and_reasoning(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """(answer, reasoning), whichever way the upstream keeps them apart."""
    text, thoughts = content_of(message.get("content"))
    reasoning = text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")) or thoughts
    return (text, reasoning) if reasoning is not None else split_think(text)


def finish_reason_of(choice: Mapping[str, Any]) -> str:
    """Our word for why a choice ended."""
    said = text_of(choice.get("finish_reason")) or "unknown"
    return FINISH_REASONS.get(said, said)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The counts in a `usage` of chat or plain completions."""
    cached = dict_of(usage.get("prompt_tokens_details")).get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    return Usage(
        count_of(usage.get("prompt_tokens")),
        count_of(usage.get("completion_tokens")),
        count_of(dict_of(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        count_of(cached),
    )


def _written_usage(answer: Answer) -> dict[str, Any] | None:
    usage = answer.usage
    if usage == Usage() and answer.dollars is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "cost": answer.dollars,
    }
