"""The official clients notice nothing: another base URL, another key, and all they could do before still works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.guard.clocks import still
from tests.guard.gateway.gateways import EVENTS, OPEN, Running, gateway

from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.models import embedded
from spiritsafe.models.replies import Reply, served_in_thread
from spiritsafe.models.serve import serving

MODEL = "smollm2-135m"
TURNS: list[Any] = [{"role": "user", "content": "Name a colour."}]


@contextmanager
def openai_client(guard: Running, key: str | None = None) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{guard.url}/v1", api_key=key or guard.key, max_retries=0) as client:
        yield client


@contextmanager
def anthropic_client(guard: Running, key: str | None = None) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=guard.url, api_key=key or guard.key, max_retries=0) as client:
        yield client


def only(**contract: Any) -> Policy:
    """A policy whose ordinary accounts have this contract."""
    return Policy("enforce", {**OPEN.segments, "ordinary": Segment(**contract)})


def test_each_client_gets_an_answer_of_its_own_format(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        openai_client(guard) as one,
        anthropic_client(guard) as other,
    ):
        assert one.chat.completions.create(model="m", messages=TURNS).choices[0].message.content == "blue"
        message = other.messages.create(model="m", max_tokens=5, messages=TURNS)
        assert message.content[0].text == "blue"  # type: ignore[union-attr]
        assert [asked.headers.get("x-api-key") for asked in up.asked] == [None, "sk-operator"]
        assert [record["surface"] for record in guard.records() if "surface" in record] == ["chat", "messages"]


def test_a_stream_comes_event_by_event_to_openais_client(tmp_path: Path) -> None:
    stream = Reply(b"".join(EVENTS), headers={"content-type": "text/event-stream"})
    with (
        served_in_thread(lambda asked: stream) as up,
        gateway(up.base_url, tmp_path) as guard,
        openai_client(guard) as client,
    ):
        chunks = list(client.chat.completions.create(model="m", messages=TURNS, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Blue"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 5


def test_a_wrong_key_is_the_error_that_each_client_knows(tmp_path: Path) -> None:
    with (
        gateway("http://127.0.0.1:9/v1", tmp_path) as guard,
        openai_client(guard, "ss-wrong") as one,
        anthropic_client(guard, "ss-wrong") as other,
    ):
        with pytest.raises(openai.AuthenticationError, match="not known here"):
            one.chat.completions.create(model="m", messages=TURNS)
        with pytest.raises(anthropic.AuthenticationError, match="not known here"):
            other.messages.create(model="m", max_tokens=5, messages=TURNS)


def test_a_limit_is_a_rate_limit_error_with_the_usual_headers(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, policy=only(limits=Limits(requests_per_minute=2)), now_s=still()) as guard,
        openai_client(guard) as one,
        anthropic_client(guard) as other,
    ):
        raw = one.chat.completions.with_raw_response.create(model="m", messages=TURNS)
        assert raw.headers["x-ratelimit-limit-requests"] == "2"
        assert raw.headers["x-ratelimit-remaining-requests"] == "1"
        told = other.messages.with_raw_response.create(model="m", max_tokens=5, messages=TURNS)
        assert told.headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(openai.RateLimitError) as limited:
            one.chat.completions.create(model="m", messages=TURNS)
        assert int(limited.value.response.headers["retry-after"]) >= 1
        with pytest.raises(anthropic.RateLimitError):
            other.messages.create(model="m", max_tokens=5, messages=TURNS)


def test_what_hygiene_refuses_is_a_bad_request_that_says_why(tmp_path: Path) -> None:
    hygiene = Hygiene(max_n=2, refuse_logit_bias_with_logprobs=True)
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, policy=only(hygiene=hygiene)) as guard,
        openai_client(guard) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="n = 3"):
            client.chat.completions.create(model="m", messages=TURNS, n=3)
        with pytest.raises(openai.BadRequestError, match="logit_bias"):
            client.chat.completions.create(model="m", messages=TURNS, logprobs=True, logit_bias={"5": 1})
        assert up.asked == []
        assert client.chat.completions.create(model="m", messages=TURNS, n=2).choices


def test_an_unknown_path_and_an_unoffered_model_are_not_found(tmp_path: Path) -> None:
    from spiritsafe.guard.settings import UpstreamSettings

    only_gpt = [UpstreamSettings("up", "openai", "http://127.0.0.1:9/v1", models=("gpt-*",))]
    with (
        gateway("", tmp_path, upstreams=only_gpt) as guard,
        openai_client(guard) as one,
        anthropic_client(guard) as other,
    ):
        with pytest.raises(openai.NotFoundError, match="llama"):
            one.chat.completions.create(model="llama", messages=TURNS)
        with pytest.raises(openai.NotFoundError):
            one.files.list()
        with pytest.raises(anthropic.NotFoundError):
            other.messages.create(model="gpt-4", max_tokens=5, messages=TURNS)


@pytest.fixture(scope="module")
def real_model() -> Iterator[str]:
    with serving(embedded.get(MODEL), MODEL) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["interval", "strict"])
def test_openais_client_does_all_it_can_with_a_real_model(real_model: str, tmp_path: Path, durability: str) -> None:
    with gateway(real_model, tmp_path, durability=durability) as guard, openai_client(guard) as client:
        assert MODEL in [model.id for model in client.models.list()]
        whole = client.chat.completions.create(
            model=MODEL, messages=TURNS, max_tokens=8, temperature=0, logprobs=True, top_logprobs=3
        )
        assert whole.choices[0].logprobs is not None
        streamed = client.chat.completions.create(
            model=MODEL,
            messages=TURNS,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
        assert text == whole.choices[0].message.content
        assert client.completions.create(model=MODEL, prompt="The sky is", max_tokens=4).choices[0].text
        assert client.responses.create(model=MODEL, input="Name a colour.", max_output_tokens=16).output_text
        events = client.responses.create(model=MODEL, input="Name a colour.", max_output_tokens=16, stream=True)
        assert {"response.created", "response.completed"} <= {event.type for event in events}
        schema: Any = {"type": "json_schema", "json_schema": {"name": "c", "schema": COLOUR, "strict": True}}
        shaped = client.chat.completions.create(model=MODEL, messages=TURNS, response_format=schema, max_tokens=40)
        assert (shaped.choices[0].message.content or "").startswith("{")
        ends = [record for record in guard.records() if record["k"] != "received"]
        assert {record["outcome"] for record in ends} == {"completed"}
        assert len(ends) == 7
        answers = [record["response"]["choices"][0]["message"]["content"] for record in ends[1:3]]
        assert answers == [text, text]


@pytest.mark.slow
def test_openais_client_gets_the_embeddings_of_a_real_model(tmp_path: Path) -> None:
    with (
        serving(embedded.get(MODEL), MODEL, processes=1, embeddings=True) as url,
        gateway(url, tmp_path) as guard,
        openai_client(guard) as client,
        openai.OpenAI(base_url=url, api_key="none") as direct,
    ):
        texts = ["The sky is blue.", "The sea is blue.", "def main(): return 7"]
        got = client.embeddings.create(model=MODEL, input=texts)  # this client asks for base64 by itself
        sky, sea, code = (one.embedding for one in got.data)
        as_numbers = client.embeddings.create(model=MODEL, input=texts[0], encoding_format="float")
        assert as_numbers.data[0].embedding == pytest.approx(sky, abs=1e-5)
        own = direct.embeddings.create(model=MODEL, input=texts[0]).data[0].embedding
        assert own == pytest.approx(sky, abs=1e-5)
        assert sum(x * x for x in sky) == pytest.approx(1.0, abs=1e-4)
        assert sum(x * y for x, y in zip(sky, sea, strict=True)) > sum(x * y for x, y in zip(sky, code, strict=True))
        assert client.chat.completions.create(model=MODEL, messages=TURNS, max_tokens=4).choices[0].message.content
        ends = [record for record in guard.records() if record["k"] != "received"]
    assert [record["outcome"] for record in ends] == ["completed"] * 3
    assert ends[0]["tokens"][0] == got.usage.prompt_tokens > 10


COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 10}},
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.mark.slow
def test_anthropics_client_does_all_it_can_with_a_real_model(real_model: str, tmp_path: Path) -> None:
    with gateway(real_model, tmp_path) as guard, anthropic_client(guard) as client:
        whole = client.messages.create(
            model=MODEL, max_tokens=8, extra_body={"temperature": 0}, system="Be short.", messages=TURNS
        )
        with client.messages.stream(
            model=MODEL, max_tokens=8, extra_body={"temperature": 0}, system="Be short.", messages=TURNS
        ) as stream:
            text = "".join(stream.text_stream)
        assert text == whole.content[0].text  # type: ignore[union-attr]
        assert client.messages.count_tokens(model=MODEL, messages=TURNS).input_tokens > 0
        ends = [record for record in guard.records() if record["k"] != "received"]
        assert [record["response"]["content"][0]["text"] for record in ends[:2]] == [text, text]


@pytest.mark.slow
def test_curl_streams_from_a_real_model(real_model: str, tmp_path: Path) -> None:
    body = f'{{"model":"{MODEL}","stream":true,"max_tokens":4,"messages":[{{"role":"user","content":"hi"}}]}}'
    with gateway(real_model, tmp_path) as guard:
        done = subprocess.run(
            ["curl", "-sN", f"{guard.url}/v1/chat/completions", "-H", f"Authorization: Bearer {guard.key}", "-d", body],
            capture_output=True,
            check=True,
            timeout=60,
        )
    assert done.stdout.startswith(b"data: {")
    assert done.stdout.rstrip().endswith(b"data: [DONE]")
