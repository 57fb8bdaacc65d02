"""LiteLLM's logs: rows of the table `LiteLLM_SpendLogs`, and its `StandardLoggingPayload` (as its S3, GCS and webhook
loggers write it). Source: `litellm/proxy/schema.prisma` (commit 0010143f) and `litellm/types/utils.py`, 2026.

The account is the user that the key belongs to, else its team, else the hash of the key; all three are kept in
`client`. LiteLLM keeps prompts and answers only where `store_prompts_in_spend_logs` is set, in `messages` and
`response` or in `proxy_server_request`; without them an exchange has its facts alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.log.imports.rows import BadRow, Found, Rows, object_in, seconds_of, value_in
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.records import Record, dumped
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, text_of

SURFACES = {
    "completion": "chat",
    "text_completion": "completions",
    "embedding": "embeddings",
    "responses": "responses",
    "anthropic_messages": "messages",
}
"""What `call_type` says, without the "a" of asynchronous calls; others are kept as the name of the surface."""

NOBODY = ("", "default_user_id", "litellm-proxy-master-key")
"""Users that stand for whoever has the master key."""

KEPT = ("trace_id", "session_id", "api_base", "cache_hit", "model_id", "request_tags")
"""Fields that are kept under their own names."""

AGENT_TAG = "User-Agent: "


def read_litellm(rows: Rows) -> Iterator[Found]:
    """The exchange of each row."""
    for row in rows():
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield exchange_in(row.value)
        except InputError as error:
            yield BadRow(row.number, str(error))


def exchange_in(row: Mapping[str, Any]) -> Exchange:
    """The exchange that `row` tells of.

    Raises:
        InputError: it has no id or no start.
    """
    identity = text_of(row.get("request_id")) or text_of(row.get("id"))
    at = seconds_of(row.get("startTime"))
    if identity is None or at is None:
        raise InputError("has no request_id or id, or no startTime, wanted a row of LiteLLM's logs; mend or remove it")
    request, response = _request(row), value_in(row.get("response"))
    if isinstance(response, str):
        response = {"choices": [{"message": {"content": response}}]}
    fields = {"id": identity, "at": at, **_who(row), **_what(row, request), **_came_of_it(row, at)}
    return exchange_from(Record("whole", fields, dumped(request), dumped(response or None)))


def _request(row: Mapping[str, Any]) -> dict[str, Any]:
    """The request's body, as far as it was kept."""
    sent = object_in(row.get("proxy_server_request"))
    body = {**dict_of(sent.get("body", sent)), **dict_of(row.get("model_parameters"))}
    messages = value_in(row.get("messages"))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if isinstance(messages, list) and messages:
        body["messages"] = messages
    return body if "prompt" in body or "input" in body else {"messages": [], **body}


def _who(row: Mapping[str, Any]) -> dict[str, Any]:
    metadata = object_in(row.get("metadata"))
    user = text_of(row.get("user")) or text_of(metadata.get("user_api_key_user_id")) or ""
    team = text_of(row.get("team_id")) or text_of(metadata.get("user_api_key_team_id"))
    key = _hashed(text_of(row.get("api_key")) or text_of(metadata.get("user_api_key_hash")))
    agents = [tag for tag in list_of(value_in(row.get("request_tags"))) if str(tag).startswith(AGENT_TAG)]
    client = {
        "ip": row.get("requester_ip_address") or metadata.get("requester_ip_address"),
        "user_agent": agents[-1].removeprefix(AGENT_TAG) if agents else None,
        "org": row.get("organization_id") or metadata.get("user_api_key_org_id"),
        "user": user,
        "team": team,
        "key": key,
        "key_alias": metadata.get("user_api_key_alias"),
        "end_user": row.get("end_user"),
    }
    account = ("" if user in NOBODY else user) or team or key or ""
    return {"account": account, "client": {name: value for name, value in client.items() if value}}


def _hashed(key: str | None) -> str | None:
    """A key that is there in clear is hashed as LiteLLM does it."""
    return sha256(key.encode()).hexdigest() if key is not None and key.startswith("sk-") else key


def _what(row: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    kind = text_of(row.get("call_type")) or "completion"
    stream = row.get("stream", request.get("stream"))
    more = {
        name: row[name] for name in ("trace_id", "session_id", "api_base", "cache_hit", "model_id") if row.get(name)
    }
    return {
        "surface": SURFACES.get(kind) or SURFACES.get(kind.removeprefix("a"), kind),
        "model": text_of(row.get("model_group")) or text_of(row.get("model")) or "",
        "upstream": text_of(row.get("custom_llm_provider")) or "",
        "stream": stream if isinstance(stream, bool) else None,
        **more,
    }


def _came_of_it(row: Mapping[str, Any], at: float) -> dict[str, Any]:
    status = text_of(row.get("status")) or text_of(object_in(row.get("metadata")).get("status")) or "success"
    ended_at, first_at = seconds_of(row.get("endTime")), seconds_of(row.get("completionStartTime"))
    error = dict_of(row.get("error_information")) or dict_of(object_in(row.get("metadata")).get("error_information"))
    code = str(error.get("error_code") or "")
    return {
        "status": 200 if status == "success" else int(code) if code.isdecimal() and len(code) == 3 else None,
        "outcome": "completed" if status == "success" else "upstream_failed",
        "tokens": [count_of(row.get("prompt_tokens")), count_of(row.get("completion_tokens"))],
        "dollars": amount_of(row.get("spend", row.get("response_cost"))),
        "ended_at": ended_at,
        "last_byte_s": None if ended_at is None else max(ended_at - at, 0.0),
        "first_byte_s": None if first_at is None else max(first_at - at, 0.0),
        **({"error": row.get("error_str") or error.get("error_message")} if status != "success" else {}),
    }
