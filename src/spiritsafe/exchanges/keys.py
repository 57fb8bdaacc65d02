"""Request keys: the canonical hash of what is asked of whom, by which the ledger knows that it was asked before.

The key is the BLAKE2b hash, 16 bytes, of this JSON with sorted keys and without spaces, in UTF-8:

    {"endpoint", "extra_body", "key": 1, "messages": [{"role", "content", "parts"}], "model", "sample", "sampling"}

What is at its default is left out: a sampling field that is None, `stop` when empty, `parts` when empty. So a field
that `Sampling` gets later changes no key that was made before it. `sampling.other` is an object of its own inside
`sampling`. `temperature` and `top_p` are written as floats; all other numbers as they are, so 1 and 1.0 differ there.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import isfinite
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message, Request, Sampling

KEY_VERSION = 1
KEY_BYTES = 16


def request_key(endpoint: str, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
    """The key of asking `model` at `endpoint` for `request`, with the endpoint's own fields `extra_body`.

    Equal exactly where endpoint, model, messages, sampling, sample and extra fields are equal as JSON, whatever the
    order of the keys in it. `.hex()` of it is the `id` of the exchange.

    Raises:
        InputError: the request holds something that JSON cannot, as a lone surrogate, or a temperature that is NaN.
    """
    canonical = {
        "key": KEY_VERSION,
        "endpoint": endpoint,
        "model": model,
        "messages": [_turn(message) for message in request.messages],
        "sampling": _sampling(request.sampling),
        "sample": request.sample,
        "extra_body": extra_body,
    }
    try:
        data = orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise InputError(f"the request cannot be sent as JSON ({error}); mend its text or its extra fields") from None
    return blake2b(data, digest_size=KEY_BYTES).digest()


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.parts:
        turn["parts"] = message.parts
    return turn


def _sampling(sampling: Sampling) -> dict[str, Any]:
    row: dict[str, Any] = {
        "temperature": _finite("temperature", sampling.temperature),
        "top_p": _finite("top_p", sampling.top_p),
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        "stop": sampling.stop or None,
        "top_logprobs": sampling.top_logprobs,
        "other": dict(sampling.other) or None,
    }
    return {name: value for name, value in row.items() if value is not None}


def _finite(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not isfinite(value):
        raise InputError(f"got sampling {name} = {shown(value)}, wanted a number; mend the recipe")
    return value + 0.0  # a float, and never -0.0
