"""Reading exchange lines (see `exchanges.line`): every type is checked, and nothing unknown is lost."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Any, cast

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import (
    RECORD_VERSION,
    Exchange,
    Message,
    Sampling,
    Source,
    TermsClass,
    Timing,
    TokenLogprobs,
    Usage,
)

TERMS = ("open_weights", "permits", "forbids", "unknown")

Kinds = Mapping[str, tuple[type, ...]]

_TEXT = (str, NoneType)
_COUNT = (int, NoneType)
_NUMBER = (float, int, NoneType)
_OBJECT = (dict, NoneType)

EXCHANGE: Kinds = (
    {"v": _COUNT, "messages": (list,), "at": (float, int), "account": (str,), "sample": _COUNT, "dollars": _NUMBER}
    | dict.fromkeys(("sampling", "usage", "timing", "logprobs", "source", "client"), _OBJECT)
    | dict.fromkeys(("id", "dialect", "model", "answer", "reasoning", "finish_reason", "segment"), _TEXT)
    | dict.fromkeys(("price_version", "charged_to"), _TEXT)
)
_SAMPLING: Kinds = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "max_tokens": _COUNT,
    "seed": _COUNT,
    "stop": (list, str, tuple, NoneType),
    "top_logprobs": _COUNT,
}
_USAGE: Kinds = {field.name: _COUNT for field in fields(Usage)}
_TIMING: Kinds = {field.name: _NUMBER for field in fields(Timing)}
_SOURCE: Kinds = {field.name: _TEXT for field in fields(Source) if field.name != "model"}
_LOGPROBS: Kinds = {
    "tokens": (int,),
    "k": (int,),
    "packed": (str,),
    "has_ids": (bool, NoneType),
    "table": (list, NoneType),
}
SECTIONS = {"usage", "timing", "source", "logprobs"}


def loads(line: bytes | str) -> Exchange:
    """The exchange of one line.

    Raises:
        InputError: it is not JSON, or not an exchange of this version or an earlier one.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"got a line that is not JSON ({error}), wanted an exchange; mend or remove it") from None
    return from_json(row)


def from_json(row: Mapping[str, Any]) -> Exchange:
    """The exchange of a parsed line; `row` is left as it is.

    Raises:
        InputError: `row` is no exchange, a field has the wrong type, or a newer version wrote it.
    """
    if not isinstance(row, Mapping):
        raise InputError(f"got {shown(row)}, wanted a JSON object with v, account, at and messages; mend or remove it")
    get = row.get
    _check_version(get("v"))
    other = _unknown("", row, EXCHANGE)
    finish_reason = get("finish_reason")
    logprobs = get("logprobs")
    return Exchange(
        get("id") or "",
        _needed(row, "at"),
        get("dialect") or "",
        _messages(_needed(row, "messages"), other),
        _sampling(get("sampling")),
        get("sample") or 0,
        get("answer") or "",
        get("reasoning"),
        "stop" if finish_reason is None else finish_reason,
        _usage(get("usage"), other),
        _timing(get("timing"), other),
        None if logprobs is None else _logprobs(logprobs, other),
        _source(get("model") or "", get("source"), other),
        get("dollars"),
        get("price_version"),
        get("charged_to") or "",
        _needed(row, "account"),
        get("segment") or "",
        get("client") or {},
        other,
    )


def _check_version(version: object) -> None:
    if type(version) is not int or version < 1:
        raise InputError(f"got v = {shown(version)}, wanted 1..{RECORD_VERSION}; give exchange lines, see their format")
    if version > RECORD_VERSION:
        raise InputError(f"got an exchange of version {version}, wanted at most {RECORD_VERSION}; upgrade spiritsafe")


def _needed(row: Mapping[str, Any], name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise InputError(f"exchange has no '{name}', wanted v, account, at and messages at least; add it") from None


def _unknown(section: str, row: Mapping[str, Any], kinds: Kinds) -> dict[str, Any]:
    """What `row` holds beside the fields of `kinds`, whose types are checked."""
    other = {}
    for name, value in row.items():
        wanted = kinds.get(name)
        if wanted is None:
            other[name] = value
        elif type(value) not in wanted:
            names = " or ".join({NoneType: "null"}.get(kind, kind.__name__) for kind in wanted)
            raise InputError(f"exchange has {section}{name} = {shown(value)}, wanted {names}; mend it")
    return other


def _messages(turns: list[Any], other: dict[str, Any]) -> tuple[Message, ...]:
    messages = tuple([_message(turn) for turn in turns])
    if any(len(turn) > 2 for turn in turns):
        extras = [{k: v for k, v in turn.items() if k not in ("role", "content")} for turn in turns]
        if any(extras):
            other["messages"] = extras
    return messages


def _message(turn: object) -> Message:
    if type(turn) is not dict or type(turn.get("role")) is not str:
        raise InputError(f"exchange has a message {shown(turn)}, wanted role and content; mend it")
    content = turn.get("content")
    if type(content) is str:
        return Message(turn["role"], content)
    if content is None:
        return Message(turn["role"], "")
    if type(content) is not list or not all(type(part) is dict for part in content):
        raise InputError(f"exchange has a message with content {shown(content)}, wanted text or parts; mend it")
    texts = [part["text"] for part in content if _is_text(part)]
    return Message(turn["role"], "".join(texts), tuple(part for part in content if not _is_text(part)))


def _is_text(part: dict[str, Any]) -> bool:
    return part.get("type") == "text" and type(part.get("text")) is str


def _sampling(row: dict[str, Any] | None) -> Sampling:
    if not row:
        return Sampling()
    other = _unknown("sampling.", row, _SAMPLING)
    get = row.get
    return Sampling(
        get("temperature"),
        get("top_p"),
        get("max_tokens"),
        get("seed"),
        _stops(get("stop") or ()),
        get("top_logprobs"),
        tuple(sorted(other.items(), key=_name)) if other else (),
    )


def _stops(stop: Any) -> tuple[str, ...]:
    stops = (stop,) if type(stop) is str else tuple(stop)
    if not all(type(one) is str for one in stops):
        raise InputError(f"exchange has sampling.stop = {shown(stop)}, wanted text or a list of it; mend it")
    return stops


def _name(pair: tuple[str, Any]) -> str:
    return pair[0]


def _usage(row: dict[str, Any] | None, other: dict[str, Any]) -> Usage:
    if not row:
        return Usage()
    if unknown := _unknown("usage.", row, _USAGE):
        other["usage"] = unknown
    return Usage(*map(row.get, _USAGE))


def _timing(row: dict[str, Any] | None, other: dict[str, Any]) -> Timing:
    if not row:
        return Timing()
    if unknown := _unknown("timing.", row, _TIMING):
        other["timing"] = unknown
    return Timing(*map(row.get, _TIMING))


def _source(model: str, row: dict[str, Any] | None, other: dict[str, Any]) -> Source:
    if not row:
        return Source(model=model)
    if unknown := _unknown("source.", row, _SOURCE):
        other["source"] = unknown
    get = row.get
    terms = get("terms") or "unknown"
    if terms not in TERMS:
        raise InputError(f"exchange has source.terms = {shown(terms)}, wanted one of {', '.join(TERMS)}; mend it")
    version, fingerprint = get("version"), get("fingerprint")
    given = (get("licence"), get("permission"), get("terms_as_of"))
    return Source(get("endpoint") or "", model, version, fingerprint, cast(TermsClass, terms), *given)


def _logprobs(row: dict[str, Any], other: dict[str, Any]) -> TokenLogprobs:
    if unknown := _unknown("logprobs.", row, _LOGPROBS):
        other["logprobs"] = unknown
    try:
        if min(row["tokens"], row["k"]) < 0:
            raise ValueError
        table = tuple(a2b_base64(token, strict_mode=True) for token in row.get("table") or ())
        packed = a2b_base64(row["packed"], strict_mode=True)
        return TokenLogprobs(row["tokens"], row["k"], packed, row.get("has_ids") is not False, table)
    except (KeyError, TypeError, ValueError):
        raise InputError("exchange has logprobs without tokens, k and packed in base64; mend or remove them") from None
