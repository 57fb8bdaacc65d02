"""A callback for LiteLLM's proxy: asks the gateway's decision before a call, and keeps the gateway's log after it.

    # spiritsafe_callback.py, beside LiteLLM's config.yaml
    from spiritsafe.guard.adapters.litellm_logger import litellm_logger
    guard = litellm_logger("guard.toml")

    # config.yaml
    litellm_settings:
      callbacks: spiritsafe_callback.guard

Everything is opened with the first call, in the process that serves it, so that any number of LiteLLM's workers may
be started.

Limits: LiteLLM tells its callbacks what a call said and not its bytes, and of a call that its customer broke off
perhaps nothing. Answers are not edited: "strip" takes log-probabilities out of the request, and thinking stays. How
many requests are open at once is not known. The record follows the answer, as with `durability = "interval"`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from spiritsafe.errors import InputError
from spiritsafe.exchanges.segments import SegmentWriter
from spiritsafe.guard.adapters.decider import Decider, Passed, Say
from spiritsafe.guard.adapters.litellm_records import (
    account_of,
    encoded,
    ended_fields,
    received_fields,
    request_in,
    response_in,
    sent_by_customer,
    surface_of_call,
)
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.heads import BadRequest
from spiritsafe.guard.gateway.journal import Entry, Journal
from spiritsafe.guard.hygiene import refusal_of
from spiritsafe.guard.rulings import UNKNOWN_SEGMENT
from spiritsafe.guard.settings import Settings
from spiritsafe.wire.shapes import dict_of, text_of

FOLLOW_S = 0.25
"""How often accounts and decisions are looked at for changes."""

OWN = "spiritsafe"
"""Where a call's metadata has what was decided about it."""

MARK = "x-spiritsafe-mark"


class Bridge:
    """Decides about LiteLLM's calls and logs them; for one event loop.

    Args:
        settings: of the gateway.
        say: is told in a line what goes wrong.
        follow_s: see `FOLLOW_S`.
        now_s: the clock that limits go by, unix seconds.
    """

    def __init__(
        self, settings: Settings, say: Say, follow_s: float = FOLLOW_S, now_s: Callable[[], float] = time.time
    ) -> None:
        log = settings.log
        self._decider = Decider(settings, say=say, now_s=now_s)
        writer = SegmentWriter(GuardFolder(settings.folder).segments, log.roll_mb << 20)
        self.journal = Journal(
            asyncio.get_running_loop(), writer.append, log.interval_ms / 1000, log.most_waiting_mb << 20
        )
        self._say = say
        self._said = ""
        self._follow_s = follow_s
        self._followed_s = time.monotonic()

    def check(self, key: object, data: dict[str, Any], call_type: str) -> None:
        """Let a call go on, or not; what is decided is noted in its metadata.

        Args:
            key: LiteLLM's `UserAPIKeyAuth`.
            data: the customer's body with LiteLLM's additions; may be changed.
            call_type: LiteLLM's word for the surface.

        Raises:
            BadRequest: it may not go on; that is logged.
        """
        self._follow()
        name = account_of(*(getattr(key, field, None) for field in ("user_id", "team_id", "api_key")))
        surface = surface_of_call(call_type)
        noted: dict[str, Any] = {"account": name, "segment": UNKNOWN_SEGMENT}
        metadata = data.setdefault("litellm_metadata" if "litellm_metadata" in data else "metadata", {})
        metadata[OWN] = noted
        try:
            passed = self._passed(name, surface, data, noted)
        except BadRequest as refused:
            noted["is_refused"] = True
            self._log_refused(noted, surface, metadata, data, refused)
            raise
        _act(passed, data, noted)

    def _passed(self, name: str, surface: str, data: Mapping[str, Any], noted: dict[str, Any]) -> Passed:
        decider = self._decider
        decision = decider.gate.decision_about(name)
        if decision is not None:
            noted["decision"] = decision.logged
            decider.gate.checked(decision)
        known = decider.known(name)
        if known is not None:
            noted["segment"] = known.segment
            noted["facts"] = dict(known.facts)
            hygiene = decider.gate.policy.segments[known.segment].hygiene
            why = refusal_of(hygiene, surface, dict(data))
            if why is not None:
                raise BadRequest(400, why, "not_offered")
        return decider.passed_by_name(name)

    def _log_refused(
        self,
        noted: Mapping[str, Any],
        surface: str,
        metadata: Mapping[str, Any],
        data: Mapping[str, Any],
        refused: BadRequest,
    ) -> None:
        now_s = time.time()
        body = sent_by_customer(data)
        received = {
            **_decided(noted),
            "id": text_of(data.get("litellm_call_id")) or f"refused-{time.time_ns():x}",
            "at": now_s,
            "surface": surface,
            "model": text_of(body.get("model")) or "",
            "stream": body.get("stream") is True,
            "client": {
                "ip": metadata.get("requester_ip_address"),
                "user_agent": metadata.get("user_agent"),
                **dict_of(noted.get("facts")),
            },
        }
        refusal = {"status": refused.status, "code": refused.code, "message": str(refused)}
        ended = {"ended_at": now_s, "status": refused.status, "outcome": "refused", "refusal": refusal}
        # A customer who is over its limit could fill the disk with what it was refused.
        self._log(received, None if refused.status == 429 else encoded(body), ended, None)

    def ended(self, kwargs: Mapping[str, Any]) -> None:
        """Log a call that LiteLLM says is over, and charge it; one that was refused here is logged already."""
        metadata = dict_of(dict_of(kwargs.get("litellm_params")).get("metadata"))
        noted = dict_of(metadata.get(OWN))
        if noted.get("is_refused"):
            return
        if not noted:
            told = dict_of(dict_of(kwargs.get("standard_logging_object")).get("metadata"))
            fields = ("user_api_key_user_id", "user_api_key_team_id", "user_api_key_hash")
            noted = {"account": account_of(*(told.get(field) for field in fields)), "segment": UNKNOWN_SEGMENT}
        ended = ended_fields(kwargs)
        tokens = sum(count or 0 for count in ended.get("tokens", ()))
        self._decider.spent(str(noted["account"]), tokens, ended["dollars"] or 0.0)
        received = {**received_fields(kwargs), **_decided(noted)}
        received["client"] |= dict_of(noted.get("facts"))
        self._log(received, request_in(kwargs, dict_of(noted.get("taken"))), ended, response_in(kwargs))

    def _log(
        self, received: dict[str, Any], request: bytes | None, ended: dict[str, Any], response: bytes | None
    ) -> None:
        self.journal.ended(Entry(received, request), {"id": received["id"], **ended}, response)
        if self.journal.last_error != self._said:
            self._said = self.journal.last_error
            self._say(f"log: {self._said}" if self._said else "log: the disk takes records again")

    def _follow(self) -> None:
        now_s = time.monotonic()
        if now_s - self._followed_s >= self._follow_s:
            self._followed_s = now_s
            self._decider.follow()

    def close(self) -> None:
        """Let go of the folder; what the journal has is its own to write."""
        self._decider.close()


def _decided(noted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: noted[name] for name in ("account", "segment", "decision") if name in noted}


def _act(passed: Passed, data: dict[str, Any], noted: dict[str, Any]) -> None:
    """Do what holds for the call, as far as it can be done to a request; what was asked for stays noted."""
    if passed.action == "strip":
        noted["taken"] = {name: data.pop(name) for name in ("logprobs", "top_logprobs") if name in data}
    elif passed.action == "mark" and passed.decision is not None:
        data["extra_headers"] = {**dict_of(data.get("extra_headers")), MARK: passed.decision.id}


def litellm_logger(settings: str | Path, *, say: Say | None = None) -> Any:
    """The callback, for LiteLLM's `callbacks`; `settings` is the path of the gateway's guard.toml.

    Raises:
        InputError: guard.toml is wrong, or this is not LiteLLM's Python.
    """
    from spiritsafe.guard.settings_file import read_settings

    try:
        base: Any = import_module("litellm.integrations.custom_logger").CustomLogger
        refusal: Any = import_module("fastapi").HTTPException
    except ImportError as error:
        raise InputError(f"cannot import LiteLLM's proxy ({error}); install spiritsafe where  litellm  runs") from None
    return callback_on(base, refusal, read_settings(Path(settings)), say or _say)


def callback_on(
    base: Any,
    refusal: Any,
    settings: Settings,
    say: Say,
    *,
    follow_s: float = FOLLOW_S,
    now_s: Callable[[], float] = time.time,
) -> Any:
    """An instance of a subclass of `base`, LiteLLM's CustomLogger; it refuses by raising `refusal`.

    It looks for changes of accounts and decisions at most every `follow_s` seconds.
    """

    class SpiritSafe(base):  # type: ignore[misc]  # known when LiteLLM is
        """LiteLLM calls its methods by the names of their arguments."""

        def __init__(self) -> None:
            super().__init__()
            self._bridge: Bridge | None = None

        def opened(self) -> Bridge:
            """What decides and logs, from the first call on."""
            if self._bridge is None:
                self._bridge = Bridge(settings, say, follow_s, now_s)
            return self._bridge

        async def async_pre_call_hook(
            self, user_api_key_dict: object, cache: object, data: dict[str, Any], call_type: str
        ) -> dict[str, Any]:
            """Before a call."""
            try:
                self.opened().check(user_api_key_dict, data, call_type)
            except BadRequest as refused:
                headers = {name.decode(): value.decode() for name, value in refused.headers}
                said = {"message": str(refused), "code": refused.code}
                raise refusal(status_code=refused.status, detail=said, headers=headers) from None
            return data

        async def async_log_success_event(
            self, kwargs: dict[str, Any], response_obj: object, start_time: object, end_time: object
        ) -> None:
            """After a call that was answered."""
            self.opened().ended(kwargs)

        async def async_log_failure_event(
            self, kwargs: dict[str, Any], response_obj: object, start_time: object, end_time: object
        ) -> None:
            """After a call that was not."""
            self.opened().ended(kwargs)

    return SpiritSafe()


def _say(line: str) -> None:
    print(f"spiritsafe: {line}", file=sys.stderr, flush=True)
