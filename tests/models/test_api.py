import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from spiritsafe.checks.model import check_model
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Usage
from spiritsafe.models.api import ApiModel
from spiritsafe.models.endpoints import Endpoint, Terms, endpoint_for
from spiritsafe.models.prices import Prices
from spiritsafe.models.replies import Asked, Reply, ReplyServer, Said, Script, serve_scripted
from spiritsafe.wire.base import Answer

T = TypeVar("T")
KEY = "sk-planted-0123456789abcdef"
HELLO = Request((Message("user", "Hello"),), Sampling(max_tokens=16))


def over(
    script: Script,
    use: Callable[[ApiModel], Awaitable[T]],
    *,
    name: str = "lab",
    change: Mapping[str, Any] | None = None,
    **settings: Any,
) -> tuple[T, ReplyServer]:
    """What `use` makes of a model whose upstream is `script`; `change` alters the endpoint's row."""

    async def main() -> tuple[T, ReplyServer]:
        async with serve_scripted(script) as server:
            endpoint = replace(endpoint_for(name, server.base_url, key_env="LAB_KEY"), **(change or {}))
            model = ApiModel(endpoint, "big", environ={"LAB_KEY": KEY}, **settings)
            try:
                return await use(model), server
            finally:
                await model.close()

    return asyncio.run(main())


def answered(script: Script, request: Request = HELLO, **settings: Any) -> Exchange:
    return over(script, lambda model: model.ask(request), **settings)[0]


def failing(script: Script, request: Request = HELLO, **settings: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        answered(script, request, **settings)
    return raised.value


@pytest.mark.parametrize("dialect", ["chat", "openai", "anthropic"])
def test_an_api_model_keeps_a_models_promises_in_every_dialect(dialect: str) -> None:
    async def main() -> None:
        async with serve_scripted(lambda asked: "Hi.") as server:
            endpoint = endpoint_for("lab", server.base_url, dialect)
            await check_model(lambda: ApiModel(endpoint, "big", permission="ours"))

    asyncio.run(main())


def test_what_was_asked_and_answered_is_in_the_exchange() -> None:
    said = Answer("4", "2 + 2", "length", Usage(12, 7, 4, 3), "big-2026-01-01", "fp_1", 0.25)
    terms = Terms("permits", "MIT", "2026-02-03")
    exchange, server = over(
        lambda asked: said, lambda model: model.ask(HELLO), terms=terms, permission="because", clock=lambda: 1234.5
    )

    assert (exchange.answer, exchange.reasoning, exchange.finish_reason) == ("4", "2 + 2", "length")
    assert (exchange.usage, exchange.dollars, exchange.price_version) == (Usage(12, 7, 4, 3), 0.25, "reported")
    assert (exchange.at, exchange.dialect, exchange.messages) == (1234.5, "chat", HELLO.messages)
    source = exchange.source
    assert (source.endpoint, source.model, source.version, source.fingerprint) == (
        "lab",
        "big",
        "big-2026-01-01",
        "fp_1",
    )
    assert (source.terms, source.licence, source.terms_as_of) == ("permits", "MIT", "2026-02-03")
    assert source.permission == "because"
    assert (server.asked[0].model, server.asked[0].request) == ("big", HELLO)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_answers_of_one_version_share_one_source_and_a_new_version_has_its_own() -> None:
    async def thrice(model: ApiModel) -> list[Exchange]:
        return [await model.ask(HELLO) for _ in range(3)]

    exchanges, _ = over(lambda asked: Answer("hi", version=f"v{asked.number // 2}"), thrice)

    assert exchanges[0].source is exchanges[1].source
    assert [exchange.source.version for exchange in exchanges] == ["v0", "v0", "v1"]


def test_an_upstream_that_invents_versions_does_not_fill_memory() -> None:
    async def often(model: ApiModel) -> int:
        for _ in range(200):
            await model.ask(HELLO)
        return len(model._sources)

    held, _ = over(lambda asked: Answer("hi", version=str(asked.number)), often)

    assert held <= 64


def test_without_a_reported_cost_the_price_table_decides_and_without_a_price_nobody_does() -> None:
    said = Answer("hi", usage=Usage(1_000_000, 100_000))
    priced = answered(lambda asked: said, prices=Prices(2.0, 10.0, "2026-01-01"))
    unpriced = answered(lambda asked: said)
    uncounted = answered(
        lambda asked: Reply(b'{"choices": [{"message": {"content": "hi"}}]}'), prices=Prices(2.0, 10.0)
    )

    assert (priced.dollars, priced.price_version) == (pytest.approx(3.0), "2026-01-01")
    assert (unpriced.dollars, unpriced.price_version) == (None, None)
    assert (uncounted.dollars, uncounted.price_version) == (None, None)


def echoes(text: str) -> list[Reply]:
    """Every place at which an upstream could give a key back."""
    quoted = orjson.dumps({"error": {"message": f"Incorrect API key provided: {text}.", "type": text, "code": text}})
    plain = f"bad key {text}".encode()
    return [
        *(Reply(quoted, status) for status in (400, 401, 403, 404, 422, 429, 500, 503)),
        *(Reply(plain, status) for status in (400, 401, 418, 500)),
        Reply(orjson.dumps({"detail": [{"msg": text}]}), 422),
        Reply(quoted),
        Reply(plain),
        Reply(orjson.dumps({"choices": [], "seen": text})),
        Reply(b"", 400, {"www-authenticate": text, "retry-after": text}),
        Reply(b"", 302, {"location": f"http://127.0.0.1/{text}"}),
    ]


@pytest.mark.parametrize("reply", echoes(KEY), ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}")
@pytest.mark.parametrize("name", ["lab", "openai"])
def test_an_upstream_that_gives_the_key_back_does_not_get_it_shown(reply: Reply, name: str) -> None:
    error = failing(lambda asked: reply, name=name)

    told = f"{error} {error!r} {error.args} {vars(error)} {error.__cause__!r} {error.__context__!r}"
    assert KEY not in told
    assert "0123456789abcdef" not in told


def test_a_masked_key_is_not_shown_either() -> None:
    assert "cdef" not in str(failing(lambda asked: echoes("sk-pl****cdef")[0]))


def test_a_key_in_an_answer_is_not_stored() -> None:
    exchange = answered(lambda asked: Answer(f"Your key is {asked.headers['authorization']}", KEY, version=KEY))

    assert KEY not in repr(exchange)
    assert exchange.answer == "Your key is Bearer [key]"


def test_a_model_shows_no_key() -> None:
    model = ApiModel(endpoint_for("openai"), "gpt-6-luna", environ={"OPENAI_API_KEY": KEY})

    assert KEY not in f"{model!r} {model} {vars(model)} {vars(model._http)}"


def test_a_refused_key_is_told_by_the_name_of_its_variable() -> None:
    error = failing(lambda asked: Reply(b'{"error": {"message": "Incorrect API key"}}', 401))

    assert (error.kind, error.retryable, error.status) == ("auth", False, 401)
    assert str(error) == "the key in $LAB_KEY was refused by lab (HTTP 401); check it and what it may use"


def test_an_endpoint_that_wants_a_key_where_none_is_named_says_what_to_name() -> None:
    error = failing(lambda asked: Reply(b"", 401), change={"key_env": None})

    assert str(error) == "lab wants an API key (HTTP 401); name its variable in key_env"


def test_a_missing_key_stops_before_anything_is_sent() -> None:
    with pytest.raises(InputError, match=r"\$ANTHROPIC_API_KEY is not set"):
        ApiModel(endpoint_for("anthropic"), "claude-haiku-5-5", environ={})


def test_an_error_names_the_endpoint_and_keeps_its_facts() -> None:
    def script(asked: Asked) -> Said:
        return UpstreamError("too many\nrequests", kind="rate_limited", retryable=True, retry_after_s=7.0)

    error = failing(script)

    assert str(error) == "lab: HTTP 429: too many requests; slow down"
    assert error.facts == {
        "kind": "rate_limited",
        "retryable": True,
        "retry_after_s": 7.0,
        "maybe_billed": False,
        "status": 429,
    }


def test_a_success_that_is_no_answer_names_the_endpoint_too() -> None:
    error = failing(lambda asked: Reply(b"<html>"))

    assert str(error).startswith("lab: the upstream answered '<html>', wanted a chat completion")
    assert (error.kind, error.maybe_billed) == ("malformed", True)


def test_ids_are_asked_for_only_with_log_probabilities_and_extra_fields_always() -> None:
    row = {"id_fields": {"return_ids": True}, "extra_body": {"usage": {"include": True}, "a": 1}}

    async def twice(model: ApiModel) -> None:
        await model.ask(HELLO)
        await model.ask(Request(HELLO.messages, Sampling(max_tokens=16, top_logprobs=3)))

    _, server = over(lambda asked: "hi", twice, change=row, extra_body={"a": 2})
    plain, with_logprobs = (asked.json for asked in server.asked)

    assert "return_ids" not in plain
    assert with_logprobs["return_ids"] is True
    assert (plain["usage"], plain["a"]) == ({"include": True}, 2)


@pytest.mark.parametrize(
    ("row", "sampling", "told"),
    [
        ({"max_logprobs": 5}, Sampling(top_logprobs=6), r"got top_logprobs = 6 for lab, wanted at most 5; lower it"),
        ({"max_logprobs": 0}, Sampling(top_logprobs=1), r"wanted none: this endpoint gives no log-probabilities"),
        ({"supports_seed": False}, Sampling(seed=3), r"got seed = 3 for lab, which takes none; remove it"),
    ],
)
def test_sampling_that_the_endpoint_does_not_take_is_refused_before_it_is_sent(
    row: dict[str, Any], sampling: Sampling, told: str
) -> None:
    async def refused(model: ApiModel) -> None:
        with pytest.raises(InputError, match=told):
            await model.ask(Request(HELLO.messages, sampling))

    _, server = over(lambda asked: "hi", refused, change=row)

    assert server.asked == []


def test_a_request_that_is_cancelled_leaves_the_model_usable() -> None:
    arrived = asyncio.Event()

    async def script(asked: Asked) -> str:
        if asked.number == 0:
            arrived.set()
            await asyncio.Event().wait()
        return "second"

    async def use(model: ApiModel) -> Exchange:
        first = asyncio.create_task(model.ask(HELLO))
        await arrived.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await model.ask(HELLO)

    assert over(script, use)[0].answer == "second"


def test_many_requests_are_in_flight_at_once() -> None:
    async def script(asked: Asked) -> str:
        if asked.number == 19:
            all_there.set()
        await all_there.wait()
        return f"{asked.text}!"

    all_there = asyncio.Event()

    async def use(model: ApiModel) -> list[Exchange]:
        requests = [Request((Message("user", str(n)),)) for n in range(20)]
        return await asyncio.gather(*map(model.ask, requests))

    exchanges, server = over(script, use)

    assert [exchange.answer for exchange in exchanges] == [f"{n}!" for n in range(20)]
    assert server.connections == 20


def test_batch_lines_are_rendered_and_read_as_if_they_were_sent_live() -> None:
    said = Answer("hi", usage=Usage(1_000_000, 0), version="v1")

    async def use(model: ApiModel) -> tuple[bytes, Exchange, Exchange]:
        live = await model.ask(HELLO)
        return model.render(HELLO), live, model.parse_reply(HELLO, body(said), 5.0, share=0.5)

    def body(answer: Answer) -> bytes:
        return Asked(0, "POST", "/chat/completions", {}, b"").dialect.write("big", answer)  # type: ignore[union-attr]

    (rendered, live, batched), server = over(lambda asked: said, use, prices=Prices(2.0, 10.0))

    assert rendered == server.asked[0].body
    assert (live.dollars, batched.dollars, batched.at) == (2.0, 1.0, 5.0)
    assert replace(batched, at=0.0, dollars=None, timing=live.timing) == replace(live, at=0.0, dollars=None)


def test_the_rest_of_the_api_is_reached_with_the_same_key_and_the_same_errors(tmp_path: Path) -> None:
    file, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_bytes(b"{}\n")

    def script(asked: Asked) -> Reply:
        if asked.path == "/v1/batches/gone":
            return Reply(b'{"error": {"message": "no such batch"}}', 404)
        return Reply(orjson.dumps({"path": asked.path, "method": asked.method, "key": KEY}))

    async def use(model: ApiModel) -> list[bytes]:
        with pytest.raises(UpstreamError, match="lab: HTTP 404: no such batch"):
            await model.get("/batches/gone")
        await model.download("/files/1/content", target)
        return [
            await model.get("/batches/1"),
            await model.post("/batches", b"{}"),
            await model.upload("/files", file, {"purpose": "batch"}),
        ]

    bodies, server = over(script, use)

    assert [orjson.loads(body)["method"] for body in bodies] == ["GET", "POST", "POST"]
    assert all(KEY.encode() not in body for body in bodies)
    assert target.read_bytes()
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


def test_a_failed_line_of_a_batch_is_the_error_it_would_have_been() -> None:
    model = ApiModel(Endpoint("lab", "http://127.0.0.1:9/v1"), "big")

    assert model.reply_error(429, b'{"error": {"message": "later"}}').kind == "rate_limited"


def test_an_unknown_dialect_names_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown dialect 'soap'; known: chat, openai, anthropic"):
        ApiModel(Endpoint("lab", "http://127.0.0.1:9/v1", dialect="soap"), "big")
