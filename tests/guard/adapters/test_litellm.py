"""LiteLLM's callback, with calls that were recorded from LiteLLM 1.108.7 (trimmed; keys and prices left out)."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from tests.guard.adapters.deciding import ENFORCED, folder_of, limited
from tests.guard.clocks import still
from tests.guard.gateway.gateways import records_in

from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.adapters.litellm_logger import callback_on, litellm_logger
from spiritsafe.guard.adapters.litellm_records import account_of, message_of_chat, request_in, sent_by_customer
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.log.reading import exchange_of
from spiritsafe.guard.rulings import Rulings
from spiritsafe.wire.anthropic import ANTHROPIC

CALLS: dict[str, dict[str, Any]] = {
    one["call"]: one["kwargs"]
    for one in json.loads((Path(__file__).parent / "litellm_calls.json").read_text(encoding="utf-8"))
}
KEY = SimpleNamespace(user_id="acme", team_id="t1", api_key="a hash", key_alias="al")
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Refused(Exception):
    """Stands for fastapi's HTTPException."""

    def __init__(self, status_code: int, detail: dict[str, str], headers: dict[str, str]) -> None:
        super().__init__(detail["message"])
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class Logger:
    """Stands for LiteLLM's CustomLogger."""


class Proxy:
    """What LiteLLM's proxy does with a callback."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    async def before(self, body: dict[str, Any], call_type: str = "acompletion", key: Any = KEY) -> dict[str, Any]:
        data = {**deepcopy(body), "metadata": {"headers": {}}, "litellm_call_id": "c-1", "secret_fields": {"k": "sk-x"}}
        changed: dict[str, Any] = await self.callback.async_pre_call_hook(
            user_api_key_dict=key, cache=None, data=data, call_type=call_type
        )
        return changed

    async def refused(self, body: dict[str, Any], call_type: str = "acompletion") -> Refused:
        with pytest.raises(Refused) as caught:
            await self.before(body, call_type)
        return caught.value

    async def after(self, kwargs: dict[str, Any], *, metadata: dict[str, Any] | None = None) -> None:
        kwargs = deepcopy(kwargs)
        if metadata is not None:
            kwargs["litellm_params"]["metadata"] = metadata
        is_well = kwargs["standard_logging_object"]["status"] == "success"
        log = self.callback.async_log_success_event if is_well else self.callback.async_log_failure_event
        await log(kwargs=kwargs, response_obj=None, start_time=None, end_time=None)


def logged(tmp_path: Path, play: Callable[[Proxy], Any], policy: str = ENFORCED) -> list[dict[str, Any]]:
    """The records of the log after `play`."""
    settings = folder_of(tmp_path, policy)

    async def playing() -> None:
        callback = callback_on(Logger, Refused, settings, print, follow_s=0, now_s=still())
        await play(Proxy(callback))
        bridge = callback.opened()
        await bridge.journal.close(10)
        bridge.close()

    asyncio.run(playing())
    return records_in(GuardFolder(settings.folder).segments)


def added(tmp_path: Path, name: str = "acme") -> None:
    with Accounts.open(tmp_path / "guard") as accounts:
        accounts.add(name)


def ruled(tmp_path: Path, action: Any) -> str:
    with Rulings.open(tmp_path / "guard") as rulings:
        rulings.rule("acme", action, "confirmed", by="jo")
        return action


@pytest.mark.parametrize("call", [name for name in CALLS if not name.endswith("_failed")])
def test_every_recorded_call_becomes_one_exchange_with_its_words_and_numbers(tmp_path: Path, call: str) -> None:
    [record] = logged(tmp_path, lambda proxy: proxy.after(CALLS[call]))
    exchange = exchange_of(record)

    assert record["id"] == CALLS[call]["litellm_call_id"]
    assert exchange.account == "acme"
    assert [message.content for message in exchange.messages] == [("tool" if "tools" in call else "hi")]
    assert exchange.answer == {"aembedding": "", "anthropic_messages_tools": "One moment."}.get(call, "Blue")
    assert exchange.usage.input_tokens == (3 if call == "aembedding" else 5)
    assert (record["status"], record["outcome"]) == (200, "completed")
    assert 0 <= record["first_byte_s"] <= record["last_byte_s"] < 2
    assert (record["client"]["ip"], record["client"]["user_agent"]) == ("127.0.0.1", "curl/7.88.1")
    assert record["stream"] == call.endswith("_stream")
    assert {"metadata", "litellm_metadata", "litellm_call_id", "stream_options"} & set(record["request"]) == set()


def test_what_the_operator_has_noted_of_an_account_is_on_record(tmp_path: Path) -> None:
    added(tmp_path)
    with Accounts.open(tmp_path / "guard") as accounts:
        accounts.note("acme", {"org": "Acme Ltd"})

    async def play(proxy: Proxy) -> None:
        data = await proxy.before(BODY)
        await proxy.after(CALLS["acompletion"], metadata=data["metadata"])

    [record] = logged(tmp_path, play)
    assert (record["client"]["org"], record["client"]["ip"]) == ("Acme Ltd", "127.0.0.1")


def test_a_call_that_failed_is_logged_as_the_upstreams_failure(tmp_path: Path) -> None:
    [record] = logged(tmp_path, lambda proxy: proxy.after(CALLS["acompletion_failed"]))
    assert (record["status"], record["outcome"], record["response"]) == (500, "upstream_failed", None)


def test_what_was_asked_with_messages_is_logged_as_messages(tmp_path: Path) -> None:
    [record] = logged(tmp_path, lambda proxy: proxy.after(CALLS["anthropic_messages_tools"]))
    thinking, text, use = record["response"]["content"]
    assert (record["surface"], record["response"]["stop_reason"]) == ("messages", "tool_use")
    assert (thinking["type"], thinking["signature"], text["text"]) == ("thinking", "sig==", "One moment.")
    assert (use["name"], use["input"]) == ("weather", {"city": "Paris"})
    assert ANTHROPIC.parse(orjson.dumps(record["response"])).reasoning == "Look it up."


@pytest.mark.parametrize("chat", [{}, {"choices": []}, {"choices": [{"message": {"tool_calls": [{"function": 3}]}}]}])
def test_an_odd_answer_is_still_one(chat: dict[str, Any]) -> None:
    assert message_of_chat(chat)["role"] == "assistant"


def test_a_blocked_account_is_refused_and_that_is_logged_once(tmp_path: Path) -> None:
    added(tmp_path)

    async def play(proxy: Proxy) -> None:
        await proxy.before(BODY)
        ruled(tmp_path, "block")
        data: dict[str, Any] = {**BODY, "metadata": {}, "litellm_call_id": "c-2"}
        with pytest.raises(Refused) as caught:
            await proxy.callback.async_pre_call_hook(KEY, None, data, "acompletion")
        assert (caught.value.status_code, caught.value.detail["code"]) == (403, "account_blocked")
        await proxy.after(CALLS["acompletion_failed"], metadata=data["metadata"])  # LiteLLM tells of it as well

    [record] = logged(tmp_path, play)
    assert (record["id"], record["outcome"], record["refusal"]["status"]) == ("c-2", "refused", 403)
    assert record["request"] == BODY
    assert record["decision"]["action"] == "block"


def test_the_limits_of_an_account_hold_and_say_how_long_to_wait(tmp_path: Path) -> None:
    added(tmp_path)

    async def play(proxy: Proxy) -> None:
        for _ in range(2):
            await proxy.before(BODY)
        refused = await proxy.refused(BODY)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1

    [record] = logged(tmp_path, play, limited(2))
    assert (record["refusal"]["code"], record["request"]) == ("rate_limit_exceeded", None)


def test_the_tokens_of_answers_count_against_the_account(tmp_path: Path) -> None:
    added(tmp_path)
    policy = ENFORCED.replace("tokens_per_minute = 200_000", "tokens_per_minute = 7", 1)

    async def play(proxy: Proxy) -> None:
        await proxy.before(BODY)
        await proxy.after(CALLS["acompletion"])  # 5 and 2 tokens
        assert (await proxy.refused(BODY)).status_code == 429

    logged(tmp_path, play, policy)


def test_what_a_contract_forbids_to_ask_is_refused_for_accounts_that_have_one(tmp_path: Path) -> None:
    added(tmp_path)
    asked = {**BODY, "logprobs": True, "logit_bias": {"5": 100}}

    async def play(proxy: Proxy) -> None:
        assert (await proxy.refused(asked)).status_code == 400
        await proxy.before(asked, key=SimpleNamespace(user_id="from-elsewhere"))

    [record] = logged(tmp_path, play)
    assert record["refusal"]["code"] == "not_offered"


def test_a_stripped_account_asks_for_no_log_probabilities_and_the_log_has_what_it_asked(tmp_path: Path) -> None:
    added(tmp_path)
    kept: dict[str, Any] = {}

    async def play(proxy: Proxy) -> None:
        await proxy.before(BODY)
        ruled(tmp_path, "strip")
        data = await proxy.before({**BODY, "logprobs": True, "top_logprobs": 3, "seed": 1})
        kept.update(data)
        await proxy.after(CALLS["acompletion_stream"], metadata=data["metadata"])

    [record] = logged(tmp_path, play)
    assert kept["seed"] == 1
    assert {"logprobs", "top_logprobs"} & set(kept) == set()
    assert (record["request"]["logprobs"], record["request"]["top_logprobs"]) == (True, 3)
    assert exchange_of(record).sampling.top_logprobs == 3


def test_a_marked_account_is_named_to_the_model(tmp_path: Path) -> None:
    added(tmp_path)
    kept: dict[str, Any] = {}

    async def play(proxy: Proxy) -> None:
        await proxy.before(BODY)
        ruled(tmp_path, "mark")
        kept.update(await proxy.before({**BODY, "extra_headers": {"x-other": "1"}}))

    logged(tmp_path, play)
    assert kept["extra_headers"]["x-other"] == "1"
    assert kept["extra_headers"]["x-spiritsafe-mark"] == kept["metadata"]["spiritsafe"]["decision"]["id"]


def test_the_customers_own_metadata_field_stays_as_it_is(tmp_path: Path) -> None:
    async def play(proxy: Proxy) -> None:
        data = {**BODY, "metadata": {"user_id": "u"}, "litellm_metadata": {}}
        await proxy.callback.async_pre_call_hook(KEY, None, data, "anthropic_messages")
        assert data["metadata"] == {"user_id": "u"}

    logged(tmp_path, play)


def test_what_litellm_was_told_not_to_log_is_not_logged_here_either() -> None:
    kwargs = deepcopy(CALLS["acompletion"])
    kwargs["standard_logging_object"]["messages"] = [{"role": "user", "content": "redacted-by-litellm"}]
    assert b'"hi"' not in (request_in(kwargs, {}) or b"")
    assert b'"hi"' in (request_in(CALLS["acompletion"], {}) or b"")


@pytest.mark.parametrize(
    ("named", "account"),
    [
        (("acme", "team", "hash"), "acme"),
        (("default_user_id", "team", "hash"), "team"),
        ((None, None, "hash"), "hash"),
        ((None, None, None), ""),
    ],
)
def test_an_account_is_the_user_else_the_team_else_the_key(named: tuple[str | None, ...], account: str) -> None:
    assert account_of(*named) == account


def test_no_key_that_litellm_puts_into_a_body_is_kept() -> None:
    body = {**BODY, "api_key": "sk-1", "secret_fields": {"raw_headers": {}}, "litellm_logging_obj": 3, "metadata": {}}
    assert sent_by_customer(body) == BODY


def test_a_call_that_was_never_checked_is_logged_by_what_litellm_says(tmp_path: Path) -> None:
    [record] = logged(tmp_path, lambda proxy: proxy.after(CALLS["acompletion"], metadata={}))
    assert (record["account"], record["segment"]) == ("acme", "ordinary")


def test_the_methods_have_the_argument_names_that_litellm_calls_them_by(tmp_path: Path) -> None:
    callback = callback_on(Logger, Refused, folder_of(tmp_path), print)
    for name in ("async_log_success_event", "async_log_failure_event"):
        assert list(inspect.signature(getattr(callback, name)).parameters) == [
            "kwargs",
            "response_obj",
            "start_time",
            "end_time",
        ]


def test_without_litellm_it_says_where_to_install(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="install spiritsafe where  litellm  runs"):
        litellm_logger(tmp_path / "guard.toml")
