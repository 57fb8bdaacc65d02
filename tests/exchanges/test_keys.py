"""Request keys: equal exactly where the requests are, whatever the order of anything, and for ever."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import json_objects, requests

from spiritsafe.errors import InputError
from spiritsafe.exchanges.keys import request_key
from spiritsafe.exchanges.record import Message, Request, Sampling

ASKED = Request((Message("system", "Be brief."), Message("user", "2 + 2?")), Sampling(temperature=0.0, max_tokens=8))

close_requests = st.builds(
    Request,
    st.lists(st.builds(Message, st.sampled_from(["user", "system"]), st.sampled_from(["", "a"])), max_size=2).map(
        tuple
    ),
    st.builds(
        Sampling,
        temperature=st.sampled_from([None, 0.0, 1.0]),
        max_tokens=st.sampled_from([None, 0, 1]),
        seed=st.sampled_from([None, 0, 1]),
        stop=st.sampled_from([(), ("a",), ("", "a")]),
        other=st.sampled_from([(), (("temperature", 0.0),), (("seed", 0),), (("seed", None),), (("seed", "0"),)]),
    ),
    st.integers(0, 1),
)
asked = st.tuples(
    st.sampled_from(["e", "f"]), st.sampled_from(["e", "m"]), close_requests, st.sampled_from([{}, {"a": 1}])
)
Asked = tuple[str, str, Request, dict[str, Any]]


def as_json(one: Asked) -> str:
    """All that is asked, spelled out: an account of equality that knows nothing of how the key is made."""
    endpoint, model, request, extra = one
    return json.dumps([endpoint, model, asdict(request), extra], sort_keys=True)


@given(asked, asked)
def test_keys_are_equal_exactly_where_requests_are(one: Asked, other: Asked) -> None:
    assert (request_key(*one) == request_key(*other)) == (as_json(one) == as_json(other))


def backwards(value: Any) -> Any:
    """The same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: backwards(item) for key, item in reversed(value.items())}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(requests(), json_objects())
def test_the_order_of_keys_does_not_matter(request: Request, extra: dict[str, Any]) -> None:
    other = tuple((name, backwards(value)) for name, value in reversed(request.sampling.other))
    messages = tuple(replace(m, parts=tuple(backwards(dict(part)) for part in m.parts)) for m in request.messages)
    turned = replace(request, sampling=replace(request.sampling, other=other), messages=messages)

    assert request_key("e", "m", turned, backwards(extra)) == request_key("e", "m", request, extra)


@given(requests())
def test_each_sample_of_a_request_has_its_own_key(request: Request) -> None:
    assert request_key("e", "m", replace(request, sample=request.sample + 1), {}) != request_key("e", "m", request, {})


def test_a_temperature_is_the_same_as_integer_float_and_minus_zero() -> None:
    found = {request_key("e", "m", replace(ASKED, sampling=Sampling(temperature=zero)), {}) for zero in (0, 0.0, -0.0)}

    assert len(found) == 1


def test_keys_made_by_earlier_versions_stay_as_they_are() -> None:
    full = Sampling(0.5, 0.9, 64, 7, ("\n", "END"), 5, (("min_p", 0.1), ("tools", [{"name": "é"}])))
    parts = ({"type": "image_url", "image_url": {"url": "data:,"}},)

    assert request_key("openai", "big-1", ASKED, {}).hex() == "f119724e19352f1acd6b49de243d5ac8"
    asked = Request((Message("user", "看", parts),), full, 3)
    assert (
        request_key("vllm", "big-2", asked, {"guided": {"b": 1, "a": None}}).hex() == "865020914bade9915d92c186cbb664d6"
    )


@pytest.mark.parametrize(
    "request_",
    [
        Request((Message("user", "\ud800"),)),
        Request((), Sampling(temperature=float("nan"))),
        Request((), Sampling(top_p=float("inf"))),
        Request((), Sampling(other=(("x", {1, 2}),))),
    ],
)
def test_what_no_json_can_hold_is_an_input_error(request_: Request) -> None:
    with pytest.raises(InputError, match="mend"):
        request_key("e", "m", request_, {})
