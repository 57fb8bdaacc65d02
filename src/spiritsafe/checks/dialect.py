"""What every dialect promises; built-in ones are run through this in the tests, others can be by whoever writes them.

check_dialect(MY_DIALECT)                     # everything below, on fixed examples
check_parse(MY_DIALECT, b"...")               # single promises, for examples of one's own (hypothesis)
"""

from __future__ import annotations

import pickle
from typing import Any

import orjson

from spiritsafe.checks.promise import promise
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire.base import Answer, Dialect

SAMPLINGS: tuple[tuple[str, Sampling, Any], ...] = (
    ("temperature", Sampling(temperature=0.25), 0.25),
    ("top_p", Sampling(top_p=0.75), 0.75),
    ("max_tokens", Sampling(max_tokens=77), 77),
    ("stop", Sampling(stop=("END",)), ["END"]),
)
"""Sampling that every format can carry: the field, a sampling that sets it alone, and the value sent."""

MESSAGES = (Message("system", "Be brief."), Message("user", "Wie heißt das? 🙂"), Message("assistant", "So."))

ANSWERS = (
    Answer("Blue."),
    Answer("", finish_reason="length"),
    Answer("4", reasoning="2 + 2", finish_reason="stop", usage=Usage(10, 5, None, 3), version="model-2026-01-01"),
    Answer("I cannot help with that.", finish_reason="refusal"),
    Answer("", finish_reason="tool_calls"),
    Answer("…", finish_reason="content_filter"),
)

GARBAGE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"<html><body>502 Bad Gateway</body></html>",
    b"data: {}\n\ndata: [DONE]\n\n",
    b"\xff\xfe\x00",
    b'{"choices": [], "content": null}',
    b'{"choices": [null], "content": [null, 3, {"type": "text", "text": 5}]}',
    b'{"choices": [{"message": {"content": 7}}], "content": {"a": 1}}',
    b'{"choices": [{"message": null, "finish_reason": 3}], "usage": [], "content": [], "stop_reason": 3}',
    b'{"error": {"message": "broken", "code": "x"}}',
    b'{"error": "broken"}',
    b'{"error": true, "choices": {}}',
    b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{"token": 3}]}}]}',
)
"""Bodies that upstreams and what stands before them have sent with status 200, or might."""

STATUSES = (0, 204, 302, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 501, 503, 504, 529, 599)


def check_dialect(dialect: Dialect) -> None:
    """Everything a dialect promises, on fixed examples.

    Raises:
        BrokenPromise: the first promise that is not kept.
    """
    promise(dialect.path.startswith("/"), "the path starts with a slash", dialect.path)
    check_pickles(dialect)
    check_headers(dialect)
    check_sampling(dialect)
    check_extra_fields(dialect)
    for body in GARBAGE:
        check_parse(dialect, body)
        for status in STATUSES:
            check_error(dialect, status, body, "1.5")
    for answer in ANSWERS:
        check_answer_survives(dialect, answer)
    for _, sampling, _ in SAMPLINGS:
        check_request_survives(dialect, Request(MESSAGES, sampling))


def check_pickles(dialect: Dialect) -> None:
    """A dialect can be sent to another process, where large answers are parsed."""
    promise(pickle.loads(pickle.dumps(dialect)) == dialect, f"the dialect {dialect.name} pickles")


def check_headers(dialect: Dialect) -> None:
    """Without a key there is none in the headers; with one, exactly one header holds it."""
    key = "k-0123456789"
    promise(not any(key in value for value in dialect.headers(None).values()), "no key, no header for it")
    holding = [name for name, value in dialect.headers(key).items() if key in value]
    promise(len(holding) == 1, "one header holds the key", holding)


def check_sampling(dialect: Dialect) -> None:
    """What is not set is not sent, and each field that is set changes one field of the body, to its value."""
    bare = rendered(dialect, Request(MESSAGES))
    promise(bare.get("model") == "some-model", "the body names the model", bare.get("model"))
    unset = {"temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs", "n", "stream"} & set(bare)
    promise(not unset, "sampling that is not set is not sent", unset)
    for name, sampling, value in SAMPLINGS:
        body = rendered(dialect, Request(MESSAGES, sampling))
        changed = {field: body[field] for field in body if body[field] != bare.get(field)}
        promise(list(changed.values()) == [value], f"setting {name} changes one field, to its value", changed)


def check_extra_fields(dialect: Dialect) -> None:
    """An endpoint's fields win over the sampling, `Sampling.other` wins over both; neither may touch the prompt."""
    sampling = Sampling(temperature=0.1, other=(("temperature", 0.3), ("vendor", {"a": 1})))
    body = rendered(dialect, Request(MESSAGES, sampling), {"temperature": 0.2, "top_k": 5})
    last = (body.get("temperature"), body.get("vendor"))
    promise(last == (0.3, {"a": 1}), "Sampling.other comes last", body)
    promise(body.get("top_k") == 5, "the endpoint's fields are sent", body)
    body = rendered(dialect, Request(MESSAGES, Sampling(temperature=0.1)), {"temperature": 0.2})
    promise(body.get("temperature") == 0.2, "the endpoint's fields win over the sampling", body)
    for reserved in ("messages", "stream", "n"):
        try:
            dialect.render("some-model", Request(MESSAGES), {reserved: 2})
        except InputError:
            continue
        promise(False, f"an extra field {reserved} is refused")


def rendered(dialect: Dialect, request: Request, extra_body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of `request` as parsed JSON, which must be an object."""
    body = orjson.loads(dialect.render("some-model", request, extra_body or {}))
    promise(isinstance(body, dict), "the body is a JSON object", body)
    fields: dict[str, Any] = body
    return fields


def check_parse(dialect: Dialect, body: bytes) -> None:
    """Whatever comes, parsing gives an answer or an UpstreamError that may have been billed, and nothing else."""
    try:
        answer = dialect.parse(body)
    except UpstreamError as error:
        promise(error.maybe_billed, "an unreadable success may have been billed", error.facts)
        check_one_line(error)
        return
    except Exception as error:
        promise(False, "parse raises nothing but UpstreamError", error)
        return
    promise(isinstance(answer.text, str), "an answer's text is text", answer.text)
    promise(answer.reasoning is None or bool(answer.reasoning), "no reasoning is None", answer.reasoning)
    promise(bool(answer.finish_reason), "there is a finish reason", answer.finish_reason)


def check_error(dialect: Dialect, status: int, body: bytes, retry_after: str | None) -> None:
    """Whatever comes, `error` gives an UpstreamError of one line that keeps the status."""
    try:
        error = dialect.error(status, body, retry_after)
    except Exception as raised:
        promise(False, "error never raises", raised)
        return
    promise(error.status == status, "the status is kept", error.status)
    promise(error.retryable or error.retry_after_s is None, "what is final has no waiting time", error.facts)
    if status in (401, 402, 404, 413, 422):
        promise(not error.retryable, f"HTTP {status} is final", error.facts)
    if status in (408, 500, 503, 529):
        promise(error.retryable, f"HTTP {status} may pass", error.facts)
    check_one_line(error)


def check_one_line(error: UpstreamError) -> None:
    """A message is one printable line of at most 400 characters, and its kind is one word."""
    message = str(error)
    promise(0 < len(message) <= 400 and message.isprintable(), "a message is one printable line", message)
    promise(error.kind.isidentifier(), "a kind is one word", error.kind)


def check_answer_survives(dialect: Dialect, answer: Answer) -> None:
    """What `write` gives a customer, `parse` reads as the same answer (dollars and fingerprint where carried)."""
    read = dialect.parse(dialect.write("some-model", answer))
    for name in ("text", "reasoning", "finish_reason"):
        promise(getattr(read, name) == getattr(answer, name), f"the {name} survives", getattr(read, name))
    promise(read.version == (answer.version or "some-model"), "the version survives", read.version)
    same = (read.usage.input_tokens, read.usage.output_tokens, read.usage.cached_input_tokens)
    given = (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cached_input_tokens)
    promise(same == given, "the token counts survive", read.usage)


def check_request_survives(dialect: Dialect, request: Request) -> None:
    """What `render` sends, `read` gives back as the same request (a limit that the format demands may be added)."""
    model, read = dialect.read(dialect.render("some-model", request, {}))
    promise(model == "some-model", "the model's name survives", model)
    promise(read.messages == request.messages, "the messages survive", read.messages)
    for name in ("temperature", "top_p", "stop", "other"):
        promise(getattr(read.sampling, name) == getattr(request.sampling, name), f"the {name} survives", read.sampling)
    limit = request.sampling.max_tokens
    promise(limit is None or read.sampling.max_tokens == limit, "the limit survives", read.sampling.max_tokens)
