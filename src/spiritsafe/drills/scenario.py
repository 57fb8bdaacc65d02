"""Scenario: a world as one TOML file: how long, who lives in it, which campaigns run through it, all from one seed.

    version = 1
    name = "first"
    seed = 7
    days = 2

    [people]
    ordinary = 300
    nightly_batch = { accounts = 2, rate = 0.5 }

    [[campaign]]
    name = "north"
    preset = "wide_shallow"
    scale = 0.01

A campaign may change any field of its preset's plan (`attackers.plan.Plan`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spiritsafe.drills.attackers import ASKS, COVERS, PRESETS, SPREADS
from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.clock import DAY_S
from spiritsafe.drills.people import PEOPLE
from spiritsafe.drills.texts.lessons import capability
from spiritsafe.errors import InputError, shown
from spiritsafe.toml_file import first_problem, read_toml

SCENARIO_VERSION = 1


class Section(BaseModel):
    """A part of a scenario: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Crowd(Section):
    """How many accounts of a class there are, and how much they ask, times what is usual for the class."""

    accounts: int = Field(ge=0)
    rate: float = Field(default=1.0, gt=0)


class NewModel(Section):
    """A model that comes out on `day`."""

    name: str = "large-2"
    day: float = Field(ge=0)


class CampaignTable(Section):
    """One campaign.

    Attributes:
        name: its name in the answer key.
        preset: one of `attackers.PRESETS`; its plan is changed by whatever else the table says.
        scale: how many times the preset's accounts it has here.
        day: when it starts.
        plan: as planned, before it is scaled.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    preset: str
    scale: float = Field(default=1.0, gt=0, le=1)
    day: float = Field(default=0.25, ge=0)
    plan: Plan

    @model_validator(mode="before")
    @classmethod
    def _plan_of_preset(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "preset" not in table or "plan" in table:
            return table
        own = {name: table[name] for name in ("name", "preset", "scale", "day") if name in table}
        changes = {name: value for name, value in table.items() if name not in own}
        return {**own, "plan": {**PRESETS.get(str(table["preset"])).plan.model_dump(), **changes}}

    @model_validator(mode="after")
    def _known_ways(self) -> CampaignTable:
        for table, name in ((ASKS, self.plan.asks), (SPREADS, self.plan.spread), (COVERS, self.plan.cover)):
            table.get(name)
        if self.plan.capability:
            capability(self.plan.capability)
        return self

    @property
    def played(self) -> Plan:
        """The plan as it is played here."""
        return self.plan.scaled(self.scale)


class Scenario(Section):
    """A world and what happens in it.

    Attributes:
        version: of this format.
        name: free.
        seed: everything else is drawn from it; two scenarios that differ in it have no text, account or time in common.
        days: how long it lasts.
        start: its first day, from midnight UTC.
        volume: what part of a real company's requests a company makes here; people and campaigns are not scaled.
        models: the large and the small model.
        new_model: a model that comes out while it lasts.
        prompts: folder of public prompt sets, from the scenario file's own folder on; without it, own texts.
        people: accounts by class.
        campaign: the campaigns.
    """

    version: Literal[1] = 1
    name: str = "drill"
    seed: int = 0
    days: float = Field(default=1.0, gt=0, le=3660)
    start: date = date(2026, 6, 1)
    volume: float = Field(default=0.01, gt=0, le=1)
    models: tuple[str, str] = ("large-1", "small-1")
    new_model: NewModel | None = None
    prompts: Path | None = None
    people: dict[str, Crowd] = {}
    campaign: tuple[CampaignTable, ...] = ()

    @field_validator("people", mode="before")
    @classmethod
    def _crowds(cls, people: Any) -> Any:
        if not isinstance(people, dict):
            return people
        for name in people:
            PEOPLE.get(name)
        return {name: {"accounts": crowd} if isinstance(crowd, int) else crowd for name, crowd in people.items()}

    @model_validator(mode="after")
    def _names_differ(self) -> Scenario:
        names = [one.name for one in self.campaign]
        if len(set(names)) < len(names):
            raise ValueError("two campaigns have the same name; give each its own")
        return self

    @property
    def starts_at(self) -> float:
        """Unix seconds at which it starts."""
        return datetime.combine(self.start, time(), UTC).timestamp()

    @property
    def ends_at(self) -> float:
        """Unix seconds at which it ends."""
        return self.starts_at + self.days * DAY_S

    def described(self) -> dict[str, Any]:
        """It as JSON, with each campaign's plan as planned and as played: the scaling, stated. Paths are names only."""
        row = self.model_dump(mode="json")
        row["prompts"] = self.prompts and self.prompts.name
        for table, campaign in zip(row["campaign"], self.campaign, strict=True):
            table["played"] = campaign.played.model_dump(mode="json")
            for plan in (table["plan"], table["played"]):
                plan["file"] = campaign.plan.file and campaign.plan.file.name
        return row


def read_scenario(path: Path) -> Scenario:
    """The scenario at `path`; its paths are taken from the file's own folder.

    Raises:
        InputError: there is no such file, or something in it is not what was wanted; the message names the field.
    """
    rows = read_toml(path, "scenario")
    try:
        scenario = Scenario.model_validate(rows)
    except ValidationError as error:
        raise InputError(f"scenario {shown(str(path))}: {first_problem(error, _names())}") from None
    return _placed(scenario, path.parent)


def _names() -> set[str]:
    return {name for section in (Scenario, Crowd, NewModel, CampaignTable, Plan) for name in section.model_fields}


def _placed(scenario: Scenario, folder: Path) -> Scenario:
    """`scenario` with its paths seen from here."""
    campaigns = tuple(
        one.model_copy(update={"plan": one.plan.model_copy(update={"file": folder / one.plan.file})})
        if one.plan.file
        else one
        for one in scenario.campaign
    )
    prompts = folder / scenario.prompts if scenario.prompts else None
    return scenario.model_copy(update={"campaign": campaigns, "prompts": prompts})
