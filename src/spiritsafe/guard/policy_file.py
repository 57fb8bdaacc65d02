"""policy.toml: what each contract may ask for and what leaves for it, and which evidence leads to what.

Read and checked, followed while it is edited, and a first one to start from. A file that is wrong changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spiritsafe.errors import InputError, shown
from spiritsafe.guard.accounts import SEGMENTS
from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import NAMED_ONLY, Action, Policy, Rule, Segment
from spiritsafe.guard.rulings import Rulings
from spiritsafe.toml_file import first_problem, parsed_toml

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency", "tokens_per_day", "dollars_per_day")
_PACED = _LIMITS[:3]


class Section(BaseModel):
    """A table of the file: an unknown field is an error, and nothing is read as another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SegmentTable(Section):
    """`[segments.NAME]`: a contract. A limit or a cap that is not given is none; see `Limits`, `Hygiene`, `Segment`."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrency: Count | None = None
    tokens_per_day: Count | None = None
    dollars_per_day: Amount | None = None
    max_top_logprobs: int | None = Field(None, ge=0)
    logprob_decimals: int | None = Field(None, ge=0, le=15)
    max_n: Count | None = None
    refuse_logit_bias_with_logprobs: bool = False
    reasoning: Literal["raw", "summarised", "withheld"] = "raw"
    strip_logprobs: bool = False
    bind_handles: bool = False
    retention: Literal["raw", "redacted", "features"] = "raw"
    days: Amount = 30.0

    def contract(self) -> Segment:
        """The same, as the gateway has it."""
        fields: dict[str, Any] = self.model_dump()
        limits = Limits(**{name: fields.pop(name) for name in _LIMITS})
        retention, days = fields.pop("retention"), fields.pop("days")
        return Segment(limits, Hygiene(**fields), retention, days)


class RuleTable(Section):
    """`[[rules]]`: see `Rule`."""

    min_level: Amount
    action: Action
    segments: list[Literal["ordinary", "batch", "evaluation", "licensed", "internal"]] = []
    detectors: list[str] = []
    days: Amount = 7.0

    @model_validator(mode="after")
    def _does_something(self) -> RuleTable:
        if self.action == "allow":
            raise ValueError("a rule that allows does nothing; remove it, or rule on the account")
        return self

    def rule(self) -> Rule:
        """The same, as the policy has it."""
        return Rule(self.min_level, self.action, tuple(self.segments), tuple(self.detectors), self.days)


class SegmentTables(Section):
    """`[segments]`: all of them."""

    ordinary: SegmentTable
    batch: SegmentTable
    evaluation: SegmentTable
    licensed: SegmentTable
    internal: SegmentTable


class File(Section):
    """All of policy.toml."""

    mode: Literal["shadow", "enforce"]
    throttle: float = Field(0.1, gt=0, lt=1)
    segments: SegmentTables
    rules: list[RuleTable] = []

    @model_validator(mode="after")
    def _throttling_slows(self) -> File:
        for number, rule in enumerate(self.rules):
            named: Sequence[str] = rule.segments
            touched = named or [name for name in SEGMENTS if name not in NAMED_ONLY]
            for name in touched if rule.action == "throttle" else ():
                if all(getattr(getattr(self.segments, name), limit) is None for limit in _PACED):
                    raise ValueError(
                        f"rules.{number} throttles the segment {name}, which has no limit that could be made smaller; "
                        f"give it one of {', '.join(_PACED)}"
                    )
        return self


def parse_policy(text: str, where: str) -> Policy:
    """The policy in `text`, TOML; `where` it comes from is said in errors.

    Raises:
        InputError: it is not TOML or not a policy; the message names the first problem.
    """
    try:
        file = File.model_validate(parsed_toml(text, where))
    except ValidationError as error:
        names = {name for table in (File, SegmentTables, SegmentTable, RuleTable) for name in table.model_fields}
        raise InputError(f"{where}: {first_problem(error, names)}") from None
    segments = {name: getattr(file.segments, name).contract() for name in SEGMENTS}
    return Policy(file.mode, segments, tuple(table.rule() for table in file.rules), file.throttle)


def read_policy(path: Path) -> tuple[str, Policy]:
    """The text of the file at `path`, and the policy in it.

    Raises:
        InputError: it cannot be read, or as `parse_policy`.
    """
    where = f"policy {shown(str(path))}"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {where}: {error.strerror}; give the path of one") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not TOML: {error}; save it as UTF-8") from None
    return text, parse_policy(text, where)


class PolicyFile:
    """A policy.toml that is followed: whenever it has changed and is right, it is in force and in the history."""

    def __init__(self, path: Path, rulings: Rulings) -> None:
        self._path = path
        self._rulings = rulings
        self._seen: tuple[int, ...] | None = None

    def follow(self) -> bool:
        """Look whether the file has changed since the last time; whether another policy is in force now.

        Raises:
            InputError: it has changed and is wrong; said once for each change, and the policy in force stays.
        """
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        text, policy = read_policy(self._path)
        before = self._rulings.policy_number()
        return self._rulings.add_policy(text, policy) != before

    def _look(self) -> tuple[int, ...]:
        """What tells a file from another one at the same path; empty where there is none."""
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


STARTING_TEXT = """\
# What each contract may ask for, what leaves for it, and which evidence leads to what.
# Changes are checked and take effect within a second, without a restart; a file that is wrong changes nothing.

# "shadow": what rules decide is logged and does nothing. "enforce": it acts. Limits, hygiene and rulings hold in both.
mode = "shadow"
throttle = 0.1     # a throttled account has so much of its limits by the minute and of its concurrency

# Contracts. An account is put under one with  spiritsafe guard accounts segment NAME SEGMENT
# A limit or a cap that is not given is none. Tokens are those of prompts and answers together.

[segments.ordinary]
requests_per_minute = 600
tokens_per_minute = 200_000
concurrency = 16
# tokens_per_day = 20_000_000
# dollars_per_day = 50.0
max_top_logprobs = 5                      # alternatives a token keeps
logprob_decimals = 3
max_n = 8                                 # answers to one request
refuse_logit_bias_with_logprobs = true    # together they give away the last layer of a model
reasoning = "raw"                         # or "summarised", "withheld"
strip_logprobs = false                    # true: no log-probabilities at all
bind_handles = false                      # true: thinking continues only in the account, session and model it is of
retention = "raw"                         # what the log keeps: "raw", "redacted" or "features"
days = 30                                 # and for how long

[segments.batch]
requests_per_minute = 3000
tokens_per_minute = 2_000_000
concurrency = 128
max_top_logprobs = 5
logprob_decimals = 3
max_n = 8
refuse_logit_bias_with_logprobs = true
retention = "raw"
days = 30

# Benchmarks read log-probabilities of every choice, so they are not cut as short.
[segments.evaluation]
requests_per_minute = 3000
tokens_per_minute = 2_000_000
concurrency = 128
max_top_logprobs = 20
logprob_decimals = 4
max_n = 64
refuse_logit_bias_with_logprobs = true
retention = "raw"
days = 90

# Customers who may learn from the model. Rules touch them only where they name the segment.
[segments.licensed]
requests_per_minute = 6000
tokens_per_minute = 10_000_000
concurrency = 256
max_top_logprobs = 20
retention = "features"
days = 365

# Your own tools.
[segments.internal]
retention = "raw"
days = 30

# Evidence is an e-value: of honest accounts at most one in 100 ever reaches 100, however long they are watched.
# A rule without `segments` is for ordinary, batch and evaluation. The strongest action that matches holds:
# observe < mark < strip < throttle < challenge < block. A person's ruling outranks all rules.
[[rules]]
min_level = 20
action = "observe"    # look closer; nothing changes for the customer
days = 14

[[rules]]
min_level = 1000
action = "throttle"
days = 7

[[rules]]
min_level = 100_000
action = "challenge"  # refused until support has verified who it is
days = 7

# [[rules]]
# min_level = 10_000
# action = "strip"    # no log-probabilities, no thinking
# segments = ["ordinary", "batch"]
# detectors = ["NAME"]
# days = 7
"""
