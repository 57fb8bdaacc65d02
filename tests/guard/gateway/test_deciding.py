"""What was decided about an account is what its requests meet: limits, hygiene, decisions, bound handles, facts."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.clocks import still
from tests.guard.gateway.gateways import ASK, OPEN, STREAM, Running, answer_in, gateway, read_all

from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Action, Decision, Policy, Segment
from spiritsafe.guard.settings import ClientSettings, UpstreamSettings
from spiritsafe.models.replies import Asked, Reply, served_in_thread


def only(**contract: Any) -> Policy:
    """A policy whose ordinary accounts have this contract."""
    return Policy("enforce", {**OPEN.segments, "ordinary": Segment(**contract)})


def decided(guard: Running, action: Action, **more: Any) -> None:
    decision = Decision("D-7K3F-92QX", "acme", action, ("many accounts, one template",), "policy", 0.0, None, False)
    guard.do(lambda: guard.desk.standings.update(acme=replace(decision, **more)))


def stream_of(*events: Any) -> Reply:
    body = b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in events) + b"data: [DONE]\n\n"
    return Reply(body, headers={"content-type": "text/event-stream"})


def events_in(body: bytes) -> list[Any]:
    return [orjson.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]


# --- decisions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "code"), [("block", "account_blocked"), ("challenge", "verification_required")])
def test_a_decision_against_an_account_stops_it_and_says_what_support_can_look_up(
    tmp_path: Path, action: Action, code: str
) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        decided(guard, action)
        answer = guard.post(ASK)
        assert (answer.status, answer.json["error"]["code"]) == (403, code)
        assert "D-7K3F-92QX" in answer.json["error"]["message"]
        assert "template" not in answer.body.decode()
        assert up.asked == []
        record = guard.only_record()
    assert record["decision"]["action"] == action
    assert record["request"] == ASK
    assert record["refusal"]["code"] == code


@pytest.mark.parametrize("action", ["block", "challenge", "throttle", "strip", "mark", "observe"])
def test_in_shadow_everything_passes_and_the_log_says_what_would_have_been(tmp_path: Path, action: Action) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        decided(guard, action, shadow=True)
        assert guard.post(ASK).status == 200
        assert "x-spiritsafe-mark" not in up.asked[0].headers
        record = guard.only_record()
    assert (record["decision"]["action"], record["decision"]["shadow"]) == (action, True)


def test_a_decision_ends_when_it_expires(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        decided(guard, "block", expires_at=time.time() - 1)
        assert guard.post(ASK).status == 200


def test_a_throttled_account_has_a_tenth_of_its_limits(tmp_path: Path) -> None:
    policy = only(limits=Limits(requests_per_minute=20))
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, policy=policy, now_s=still()) as guard,
    ):
        decided(guard, "throttle")
        statuses = [guard.post(ASK).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_a_marked_account_is_named_to_the_upstream(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        decided(guard, "mark")
        guard.post(ASK, headers={"x-spiritsafe-mark": "forged"})
        assert up.asked[0].headers["x-spiritsafe-mark"] == "D-7K3F-92QX"


def test_a_stripped_account_gets_neither_log_probabilities_nor_thinking(tmp_path: Path) -> None:
    message = {"content": "4", "reasoning_content": "2 and 2"}
    choice = {"index": 0, "message": message, "logprobs": {"content": [{"token": "4", "logprob": -0.1}]}}
    whole = Reply(orjson.dumps({"choices": [choice]}))
    with served_in_thread(lambda asked: whole) as up, gateway(up.base_url, tmp_path) as guard:
        asked = ASK | {"logprobs": True}
        assert guard.post(asked).json["choices"][0] == choice
        decided(guard, "strip")
        stripped = guard.post(asked).json["choices"][0]
        assert stripped["message"]["content"] == "4"
        assert not stripped.get("logprobs")
        assert not stripped["message"].get("reasoning_content")
        logged = [record["response"]["choices"][0] for record in guard.records() if record["k"] != "received"]
    assert logged == [choice, choice]  # the log has what the model said


# --- limits ----------------------------------------------------------------------------------------------------------


def test_requests_at_once_are_limited_and_free_again_when_they_end(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def script(asked: Asked) -> str:
        while not go_on.is_set():
            import asyncio

            await asyncio.sleep(0.002)
        return "blue"

    policy = only(limits=Limits(concurrency=2))
    with served_in_thread(script) as up, gateway(up.base_url, tmp_path, policy=policy, now_s=still()) as guard:
        first, second = guard.connect(), guard.connect()
        for connection in (first, second):
            connection.sendall(guard.request(ASK))
        guard.until(lambda: len(up.asked) == 2)
        assert guard.post(ASK).status == 429
        go_on.set()
        for connection in (first, second):
            assert answer_in(read_all(connection)).status == 200
            connection.close()
        assert guard.post(ASK).status == 200


def test_tokens_count_when_they_are_known(tmp_path: Path) -> None:
    answer = Reply(orjson.dumps({"choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 50}}))
    policy = only(limits=Limits(tokens_per_minute=100))
    with (
        served_in_thread(lambda asked: answer) as up,
        gateway(up.base_url, tmp_path, policy=policy, now_s=still()) as guard,
    ):
        first = guard.post(ASK)
        assert first.headers["x-ratelimit-limit-tokens"] == "100"
        assert guard.post(ASK).status == 429


def test_dollars_count_where_prices_are_known(tmp_path: Path) -> None:
    answer = Reply(orjson.dumps({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 1000}}))
    with served_in_thread(lambda asked: answer) as up:
        priced = UpstreamSettings("up", "openai", up.base_url, input_dollars=1.0, output_dollars=2.0)
        policy = only(limits=Limits(dollars_per_day=0.005))
        with gateway(up.base_url, tmp_path, policy=policy, upstreams=[priced]) as guard:
            assert [guard.post(ASK).status for _ in range(3)] == [200, 200, 429]
            record = next(record for record in guard.records() if record["k"] != "received")
    assert record["dollars"] == pytest.approx(0.003)


def test_an_upstream_that_counts_nothing_is_estimated(tmp_path: Path) -> None:
    long = Reply(orjson.dumps({"choices": [{"message": {"content": "x" * 4000}}]}))
    policy = only(limits=Limits(tokens_per_minute=500))
    with (
        served_in_thread(lambda asked: long) as up,
        gateway(up.base_url, tmp_path, policy=policy, now_s=still()) as guard,
    ):
        assert [guard.post(ASK).status for _ in range(2)] == [200, 429]


# --- hygiene ---------------------------------------------------------------------------------------------------------


def logprobs_of(count: int) -> dict[str, Any]:
    best = [{"token": str(at), "logprob": -0.123456 - at} for at in range(count)]
    return {"content": [{"token": "0", "logprob": -0.123456, "top_logprobs": best}]}


def test_log_probabilities_are_capped_and_rounded_streamed_or_not(tmp_path: Path) -> None:
    whole = Reply(orjson.dumps({"choices": [{"message": {"content": "0"}, "logprobs": logprobs_of(9)}]}))
    streamed = stream_of({"choices": [{"delta": {"content": "0"}, "logprobs": logprobs_of(9)}]})
    policy = only(hygiene=Hygiene(max_top_logprobs=2, logprob_decimals=2))

    def script(asked: Asked) -> Reply:
        return streamed if asked.json.get("stream") else whole

    with served_in_thread(script) as up, gateway(up.base_url, tmp_path, policy=policy) as guard:
        asked = {"logprobs": True, "top_logprobs": 9}
        for answer in (
            guard.post(ASK | asked).json["choices"][0]["logprobs"],
            events_in(guard.post(STREAM | asked).body)[0]["choices"][0]["logprobs"],
        ):
            (token,) = answer["content"]
            assert [one["token"] for one in token["top_logprobs"]] == ["0", "1"]
            assert token["logprob"] == pytest.approx(-0.12, abs=0.02)
        assert guard.post(STREAM).body == streamed.body  # asked for none: not looked at


@pytest.mark.parametrize("reasoning", ["withheld", "summarised"])
def test_thinking_in_a_stream_is_withheld_wherever_its_tags_are_cut(tmp_path: Path, reasoning: Any) -> None:
    text = "<think>secret plan</think>The answer is 4."
    policy = only(hygiene=Hygiene(reasoning=reasoning))
    pieces = iter(range(1, len(text)))

    def script(asked: Asked) -> Reply:
        cut = next(pieces)
        return stream_of(
            *[{"choices": [{"index": 0, "delta": {"content": part}}]} for part in (text[:cut], text[cut:])]
        )

    with served_in_thread(script) as up, gateway(up.base_url, tmp_path, policy=policy) as guard:
        for _ in range(1, len(text)):
            events = events_in(guard.post(STREAM).body)
            said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
            assert said.strip() == "The answer is 4."


# --- handles ---------------------------------------------------------------------------------------------------------


def thinking(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


def test_a_reasoning_handle_is_good_where_it_was_issued_and_nowhere_else(tmp_path: Path) -> None:
    answer = Reply(orjson.dumps({"content": [thinking("c2lnbmVk"), {"type": "text", "text": "4"}]}))
    policy = only(hygiene=Hygiene(bind_handles=True))

    def turns(first: str, signature: str) -> list[Any]:
        return [
            {"role": "user", "content": first},
            {"role": "assistant", "content": [thinking(signature)]},
            {"role": "user", "content": "and 3 and 3?"},
        ]

    def ask(guard: Running, model: str, messages: list[Any]) -> Any:
        body = {"model": model, "max_tokens": 9, "messages": messages}
        return guard.post(body, path="/v1/messages", headers={"anthropic-version": "2023-06-01"})

    with served_in_thread(lambda asked: answer) as up, gateway(up.base_url, tmp_path, policy=policy) as guard:
        handle = ask(guard, "m", [{"role": "user", "content": "2 and 2?"}]).json["content"][0]["signature"]
        assert handle != "c2lnbmVk"
        assert ask(guard, "m", turns("2 and 2?", handle)).status == 200
        assert up.asked[-1].json["messages"][1]["content"][0]["signature"] == "c2lnbmVk"
        seen = len(up.asked)
        for refused in (
            ask(guard, "other", turns("2 and 2?", handle)),
            ask(guard, "m", turns("another conversation", handle)),
        ):
            assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
        assert len(up.asked) == seen
        kinds = [record.get("replayed") for record in guard.records() if record["k"] != "received"]
    assert kinds == [None, None, "model", "session"]


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("proxies", "ip"), [(("127.0.0.1",), "9.9.9.9"), ((), "127.0.0.1")])
def test_facts_from_a_proxy_are_believed_only_from_where_it_is(tmp_path: Path, proxies: Any, ip: str) -> None:
    client = ClientSettings(proxies, {"x-real-ip": "ip", "x-ja4": "ja4"})
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path, client=client) as guard:
        guard.post(ASK, headers={"x-real-ip": "9.9.9.9", "x-ja4": "t13d", "user-agent": "OpenAI/Python 3"})
        facts = guard.only_record()["client"]
    assert (facts["ip"], facts["user_agent"]) == (ip, "OpenAI/Python 3")
    assert ("ja4" in facts) == bool(proxies)


def test_what_the_operator_noted_of_an_account_is_on_each_of_its_exchanges(tmp_path: Path) -> None:
    noted = {"org": "Acme", "payment": "9f2c", "email_domain": "acme.example"}
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path, facts=noted) as guard:
        guard.post(ASK)
        facts = guard.only_record()["client"]
    assert noted.items() <= facts.items()
    assert facts["ip"] == "127.0.0.1"
