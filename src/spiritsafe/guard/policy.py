"""What is done about an account: one pure function of its evidence, its segment and a person's ruling.

    decision = decide(policy, "acme", "ordinary", evidence, ruling, now_s)
    decision.acts, decision.action, decision.id

A ruling that is live outranks everything. Else the strongest action holds whose rule matches a piece of live evidence;
else the account may go on. The licensed and internal segments are touched only by rules that name them: learning from
the model is what they are for. In shadow mode what the rules decide is logged like any other decision, and nothing
comes of it; a person's ruling acts in both modes.

The id of a decision is derived from what was decided, so that deciding again gives the same id, on every worker and
every machine, and support can look it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, get_args

import orjson

from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import DAY_S, Limits

Action = Literal["allow", "observe", "mark", "strip", "throttle", "challenge", "block"]

ACTIONS: tuple[Action, ...] = get_args(Action)
"""Mildest first. `observe`: look closer; `mark`: mark the answers; `strip`: no log-probabilities and no thinking;
`throttle`: smaller limits; `challenge`: ask the customer to prove who it is; `block`: nothing any more."""

NAMED_ONLY = ("licensed", "internal")
"""Segments that a rule for every segment does not touch."""

NO_LIMITS = Limits()
NO_HYGIENE = Hygiene()

_SPOKEN = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector says of an account; never an action.

    Attributes:
        detector: its name.
        account: whom it is about.
        at: when it was found, unix seconds.
        level: how strong it is, as an e-value: 20 is what an honest account reaches with a chance of 1 in 20 at most.
        reasons: in words, for the operator.
        campaign: the accounts that act as one, where it comes from them together.
        expires_at: when it stops counting by itself.
    """

    detector: str
    account: str
    at: float
    level: float
    reasons: tuple[str, ...] = ()
    campaign: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person decided about an account; `expires_at` None: until another ruling."""

    account: str
    action: Action
    reason: str
    by: str
    at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Evidence of at least `min_level` leads to `action`, for `days` after it was found; "allow" leads to nothing.

    Attributes:
        segments: which accounts it is for; empty: all but those of `NAMED_ONLY`.
        detectors: whose evidence it is for; empty: everybody's.
    """

    min_level: float
    action: Action
    segments: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    days: float = 7.0


@dataclass(frozen=True, slots=True)
class Segment:
    """The contract of a segment: `retention` is what is kept of an exchange, for `days`."""

    limits: Limits = NO_LIMITS
    hygiene: Hygiene = NO_HYGIENE
    retention: Literal["raw", "redacted", "features"] = "raw"
    days: float = 30.0


@dataclass(frozen=True, slots=True)
class Policy:
    """All that is decided in advance.

    Attributes:
        mode: "shadow" (decide, log, do nothing) or "enforce".
        segments: contract by name.
        rules: in any order.
        throttle: what a throttled account's limits are multiplied by.
        version: its number in the history; 0 where it has none.
    """

    mode: Literal["shadow", "enforce"]
    segments: Mapping[str, Segment]
    rules: tuple[Rule, ...] = ()
    throttle: float = 0.1
    version: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about an account.

    Attributes:
        id: what support can look up.
        reasons: in words, for the operator; never shown to the customer.
        by: who decided: a person, or "policy" and its version.
        at: since when, unix seconds.
        expires_at: until when; None: until something else is decided.
        shadow: whether nothing comes of it.
    """

    id: str
    account: str
    action: Action
    reasons: tuple[str, ...]
    by: str
    at: float
    expires_at: float | None
    shadow: bool

    @property
    def acts(self) -> bool:
        """Whether anything is different for the customer."""
        return not self.shadow and self.action not in ("allow", "observe")

    @property
    def logged(self) -> dict[str, Any]:
        """What the log of an exchange says of it."""
        return {
            "id": self.id,
            "action": self.action,
            "reasons": list(self.reasons),
            "by": self.by,
            "shadow": self.shadow,
        }


def severity(action: Action) -> int:
    """The place of `action` among the others, 0 for the mildest."""
    return ACTIONS.index(action)


def id_of(decided: bytes) -> str:
    """A short word for `decided` that can be read out, such as "D-7K3F-92QX"; 40 bits of its SHA-256."""
    number = int.from_bytes(sha256(decided).digest()[:5])
    letters = "".join(_SPOKEN[number >> shift & 31] for shift in range(35, -1, -5))
    return f"D-{letters[:4]}-{letters[4:]}"


def decide(
    policy: Policy,
    account: str,
    segment: str,
    evidence: Iterable[Evidence],
    ruling: Ruling | None,
    now_s: float,
    new_id: Callable[[bytes], str] = id_of,
) -> Decision:
    """What is done about `account` now. Evidence and rulings about other accounts do not count."""
    shadow = policy.mode == "shadow"
    if ruling is not None and ruling.account == account and _is_live(ruling.expires_at, now_s):
        said = (ruling.reason,)
        name = new_id(_spelled(account, ruling.action, ruling.by, ruling.at))
        return Decision(name, account, ruling.action, said, ruling.by, ruling.at, ruling.expires_at, shadow=False)
    by = f"policy {policy.version}"
    matches = [
        (severity(rule.action), until, found)
        for found in evidence
        if found.account == account
        for rule in policy.rules
        if (until := _holds_until(rule, segment, found)) > now_s
    ]
    strongest = max((place for place, _, _ in matches), default=0)
    grounds = sorted((found for place, _, found in matches if place == strongest), key=_order)
    if strongest == 0:
        return Decision(new_id(_spelled(account, "allow", "policy", 0)), account, "allow", (), by, now_s, None, shadow)
    action, first = ACTIONS[strongest], grounds[0]
    name = new_id(_spelled(account, action, "policy", first.at))
    reasons = tuple(dict.fromkeys(reason for found in grounds for reason in _reasons_of(found)))
    until = max(until for place, until, _ in matches if place == strongest)
    return Decision(name, account, action, reasons, by, first.at, until, shadow)


def policy_to_json(policy: Policy) -> bytes:
    """The policy for `policy_from_json`, in another process or in the history."""
    return orjson.dumps(policy)


def policy_from_json(data: bytes) -> Policy:
    """The policy that `policy_to_json` wrote."""
    fields = orjson.loads(data)
    segments = {name: _segment(segment) for name, segment in fields.pop("segments").items()}
    rules = tuple(
        Rule(**rule | {"segments": tuple(rule["segments"]), "detectors": tuple(rule["detectors"])})
        for rule in fields.pop("rules")
    )
    return Policy(segments=segments, rules=rules, **fields)


def _segment(fields: dict[str, Any]) -> Segment:
    limits, hygiene = Limits(**fields.pop("limits")), Hygiene(**fields.pop("hygiene"))
    return Segment(limits, hygiene, **fields)


def _is_live(expires_at: float | None, now_s: float) -> bool:
    return expires_at is None or expires_at > now_s


def _holds_until(rule: Rule, segment: str, found: Evidence) -> float:
    """Until when `rule` holds because of `found`; 0 where it does not match."""
    named = segment in rule.segments if rule.segments else segment not in NAMED_ONLY
    if not named or not found.level >= rule.min_level or (rule.detectors and found.detector not in rule.detectors):
        return 0.0
    until = found.at + rule.days * DAY_S
    return until if found.expires_at is None else min(until, found.expires_at)


def _order(found: Evidence) -> tuple[float, str, float, tuple[str, ...], str]:
    return (found.at, found.detector, -found.level, found.reasons, found.campaign or "")


def _reasons_of(found: Evidence) -> tuple[str, ...]:
    return found.reasons or (f"{found.detector}: e-value {found.level:.3g}",)


def _spelled(*parts: object) -> bytes:
    return orjson.dumps(parts)
