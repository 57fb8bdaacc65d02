"""Streams of every dialect that has them, to begin with: with thinking, log-probabilities, handles and tools."""

from __future__ import annotations

from typing import Any

import orjson


def _chunks(*values: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % orjson.dumps(value) for value in values) + b"data: [DONE]\n\n"


def _typed(*values: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (value["type"].encode(), orjson.dumps(value)) for value in values)


def _delta(index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta}]}


_LOGPROB = {"token": "a", "logprob": -1.25, "top_logprobs": [{"token": "b", "logprob": -2.5}]}

STREAMS = {
    "chat": _chunks(
        _delta(role="assistant", reasoning_content="SECRET"),
        _delta(content="<think>SECRET</think>Bl"),
        _delta(content="ue", tool_calls=[{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{"}}]),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": {"content": [_LOGPROB]}}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ),
    "completions": _chunks(
        {"id": "c", "choices": [{"index": 0, "text": "Bl", "logprobs": {"tokens": ["a"], "token_logprobs": [-1.5]}}]},
        {"choices": [{"index": 1, "text": "ue", "finish_reason": "length"}]},
    ),
    "responses": _typed(
        {"type": "response.created", "response": {"id": "r", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}},
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "SECRET"},
        {"type": "response.output_item.done", "item": {"type": "reasoning", "encrypted_content": "h"}},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Blue", "logprobs": []},
        {"type": "response.completed", "response": {"id": "r", "output": [], "usage": {"input_tokens": 1}}},
    ),
    "messages": _typed(
        {"type": "message_start", "message": {"id": "a", "content": [], "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "SECRET"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "h"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Blue"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
}

WORDS = (
    *(b"data: ", b"event: ", b"\n\n", b"\r\n\r\n", b"\r\r", b": ping\n\n", b"[DONE]", b'"choices":['),
    *(b'"delta":{', b'"index":', b'"tool_calls":[', b'"usage":{', b'"error":{', b"null", b"\\ud83d"),
    *(b"NaN", b"\xef\xbb\xbf", b'"type":"', b'"content":[', b"<think>", b"</think>"),
    *(b'"reasoning_content":"', b'"logprobs":{', b'"signature":"', b'"encrypted_content":"'),
)
