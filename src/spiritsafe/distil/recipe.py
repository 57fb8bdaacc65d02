"""Recipe: one distillation run as one TOML file.

`load` reads and validates; unknown fields are errors that name the nearest known one. Every section is a frozen model
whose defaults are the values used, so a recipe can be short and `spiritsafe distil plan` shows it in full.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import TermsClass
from spiritsafe.toml_file import first_problem as first_of_problems
from spiritsafe.toml_file import read_toml


class Section(BaseModel):
    """A part of the recipe: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shot(Section):
    """One worked example put before the question: what the user says and what the teacher should answer."""

    user: str
    assistant: str


class Prices(Section):
    """Dollars per million tokens; both must be given, since half a price is an unknown price."""

    input_per_million: float = Field(ge=0)
    output_per_million: float = Field(ge=0)
    version: str = "recipe"


class Terms(Section):
    """What the recipe knows of the teacher's terms beyond the endpoint's row."""

    terms: TermsClass
    licence: str | None = None
    as_of: str | None = None


class Limits(Section):
    """Ceilings on the pace of asking; None means the endpoint's own."""

    requests_per_minute: int | None = Field(None, gt=0)
    tokens_per_minute: int | None = Field(None, gt=0)
    max_in_flight: int | None = Field(None, gt=0)


class SamplingSettings(Section):
    """How answers are drawn. `escalate_max_tokens` is the limit of the one retry of a truncated answer (0: none)."""

    temperature: float | None = Field(0.0, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int = Field(512, gt=0)
    escalate_max_tokens: int | None = Field(None, ge=0)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = Field(None, ge=1, le=128)
    other: dict[str, Any] = {}

    @property
    def escalated(self) -> int:
        """The larger limit a truncated answer is asked again with: as set, else twice `max_tokens`; 0 for none."""
        return 2 * self.max_tokens if self.escalate_max_tokens is None else self.escalate_max_tokens


class Teacher(Section):
    """Who is asked.

    `endpoint` names a row of `models/endpoints.py`. Any other endpoint is given by `base_url` and `dialect`, with
    `endpoint` then being the name it has in the ledger. `local` as endpoint loads weights with transformers.
    """

    endpoint: str
    model: str
    base_url: str | None = None
    dialect: str | None = None
    key_env: str | None = None
    prices: Prices | None = None
    terms: Terms | None = None
    permission: str | None = None
    limits: Limits = Limits()
    timeout_s: float = Field(120.0, gt=0)
    sampling: SamplingSettings = SamplingSettings()
    system: str | None = None
    shots: tuple[Shot, ...] = ()
    samples: int = Field(1, ge=1)
    transport: Literal["live", "batch"] = "live"
    extra_body: dict[str, Any] = {}


class FilePrompts(Section):
    """Rows of a JSONL, CSV or Parquet file.

    A row has `messages` or a text field named by `prompt_field`; `answer_field` names the known right answer, if any.
    """

    kind: Literal["jsonl", "csv", "parquet"]
    path: Path
    prompt_field: str = "prompt"
    answer_field: str | None = "answer"


class DatasetPrompts(Section):
    """A dataset of the `datasets` library by name (extra `datasets`)."""

    kind: Literal["datasets"]
    name: str
    split: str = "train"
    config: str | None = None
    prompt_field: str = "prompt"
    answer_field: str | None = "answer"


class TemplatePrompts(Section):
    """Templates filled from records.

    Records come from `records` (a JSONL or CSV file) or are `draw` random draws from the word lists in `fields`.
    Each record fills one of `templates` (chosen at random, seeded); `answer` is the template of the right answer, as
    JSON whose strings are filled, or as text.
    """

    kind: Literal["template"]
    templates: tuple[str, ...] = Field(min_length=1)
    records: Path | None = None
    fields: dict[str, tuple[str, ...]] = {}
    draw: int | None = Field(None, gt=0)
    answer: str | dict[str, str] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _one_origin(self) -> TemplatePrompts:
        if (self.records is None) == (not self.fields):
            raise ValueError("give either `records` (a file) or `fields` (word lists), not both and not neither")
        if self.fields and self.draw is None:
            raise ValueError("`fields` needs `draw`, the number of records to draw")
        return self


class ExpandPrompts(Section):
    """Seeds expanded by the teacher: self-instruct (Wang et al. 2023) or evolve (Evol-Instruct, Xu et al. 2023)."""

    kind: Literal["expand"]
    seeds: Path
    method: Literal["self_instruct", "evolve"] = "self_instruct"
    count: int = Field(gt=0)
    seeds_per_request: int = Field(4, ge=1)
    seed: int = 0
    max_similarity: float = Field(0.7, gt=0, le=1)


PromptSource = Annotated[FilePrompts | DatasetPrompts | TemplatePrompts | ExpandPrompts, Field(discriminator="kind")]


class Verifier(Section):
    """How an answer is judged right, in curation and in evaluation.

    kind "exact" compares text after trimming; "numeric" compares the last number; "json" compares parsed JSON with the
    known answer, or only validates `json_schema` where there is no known answer; "regex" searches `pattern`;
    "function" calls `function` ("package.module:name") with (prompt, answer, expected) and takes its truth. With
    `grounded`, "json" also asks that every string value occurs in the prompt, which needs no known answer. With
    `use_expected` off, known answers are ignored, as in curating answers whose truth one would not know. With
    `ignore_case`, "exact", "json" (values and grounding) and "regex" do not tell upper from lower case.
    """

    kind: Literal["exact", "numeric", "json", "regex", "function"]
    pattern: str | None = None
    json_schema: dict[str, Any] | None = None
    function: str | None = None
    tolerance: float = Field(1e-6, ge=0)
    grounded: bool = False
    use_expected: bool = True
    ignore_case: bool = False


class Cut(Section):
    """One step of curation: the curator's name and its settings."""

    curator: str
    settings: dict[str, Any] = {}


class Student(Section):
    """Which model learns.

    `model` is a hub name, a local folder or an embedded model's name; `layers` cuts it to those layers first.
    `system` is what the student sees before the prompt: nothing by default, so that the teacher's prompt and shots are
    distilled away as well. `think` says whether the teacher's reasoning is part of what the student learns to write.
    """

    model: str
    layers: tuple[int, ...] = ()
    system: str | None = None
    think: Literal["drop", "keep"] = "drop"


class Lora(Section):
    """Low-rank adaptation (Hu et al. 2021); the adapters are merged into the weights when training ends."""

    rank: int = Field(16, gt=0)
    alpha: int = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target: str | tuple[str, ...] = "all-linear"


class Train(Section):
    """How the student learns.

    `loss` names a row of `distil/losses`; `mix` is the weight of that loss, the rest is cross-entropy on the answers.
    `freeze_embeddings` leaves the input embeddings as they are (and the head, where it is tied to them): with few
    answers a student keeps what it knows of rare words, and a small one trains faster.
    """

    loss: str = "sequence"
    mix: float = Field(1.0, ge=0, le=1)
    beta: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)
    epochs: int = Field(3, gt=0)
    batch_size: int = Field(8, gt=0)
    micro_batch_tokens: int = Field(4096, gt=0)
    learning_rate: float = Field(1e-4, gt=0)
    warmup_share: float = Field(0.05, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    max_length: int = Field(1024, gt=0)
    vocab_chunk_rows: int = Field(256, gt=0)
    freeze_embeddings: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    lora: Lora | None = None
    seed: int = 0
    threads: int | None = Field(None, gt=0)
    checkpoint_every_s: float = Field(120.0, gt=0)


class Evaluate(Section):
    """The held-out items and how they are judged.

    `machine_dollars_per_hour` is what the machine that runs the student costs; without it the student's price is
    unknown.
    """

    prompts: PromptSource | None = None
    held_out: int = Field(0, ge=0)
    verifier: Verifier
    max_new_tokens: int = Field(128, gt=0)
    batch_size: int = Field(32, gt=0)
    bootstrap: int = Field(10_000, gt=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    machine_dollars_per_hour: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _some_items(self) -> Evaluate:
        if self.prompts is None and self.held_out == 0:
            raise ValueError("give `held_out` (how many prompts to keep back) or `prompts` (a source of their own)")
        return self


class Budget(Section):
    """What the run may spend, in all its sittings together; None means no limit of that kind."""

    dollars: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0)


class Check(Section):
    """Thresholds of the preflight; a share outside them stops the run before training."""

    stop_token_share: float = Field(0.99, ge=0, le=1)
    truncated_share: float = Field(0.01, ge=0, le=1)
    memory_gb: float | None = Field(None, gt=0)


class Recipe(Section):
    """One distillation run.

    `budgets` are the numbers of kept exchanges to train one student each on; empty means one student on all.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    teacher: Teacher
    student: Student
    prompts: PromptSource
    budget: Budget = Budget()
    curate: tuple[Cut, ...] = ()
    check: Check = Check()
    train: Train = Train()
    evaluate: Evaluate
    budgets: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _budgets_grow(self) -> Recipe:
        if list(self.budgets) != sorted(set(self.budgets)) or any(b <= 0 for b in self.budgets):
            raise ValueError("`budgets` must be positive and strictly growing, e.g. [60, 120, 240]")
        return self


def load(path: Path) -> Recipe:
    """Read and validate the recipe at `path`; relative paths inside it are taken from its folder.

    Raises:
        InputError: the file cannot be read, is not TOML, or has a field that is unknown or not what is wanted.
    """
    return parse(read_toml(path, "recipe"), path)


def parse(raw: dict[str, Any], path: Path) -> Recipe:
    """Validate `raw`, the parsed TOML of the recipe at `path`.

    Raises:
        InputError: as `load`.
    """
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"recipe {shown(str(path))}: {first_problem(error)}") from None
    return _anchored(recipe, path.parent)


def first_problem(error: ValidationError) -> str:
    """The first of the problems pydantic found, as part of a one-line message; unknown fields name the nearest."""
    return first_of_problems(error, _all_fields())


def _all_fields() -> set[str]:
    names: set[str] = set()
    todo: list[type[Section]] = [Section]
    while todo:
        section = todo.pop()
        names |= set(section.model_fields)
        todo += section.__subclasses__()
    return names


def _anchored(recipe: Recipe, folder: Path) -> Recipe:
    """The same recipe with relative file paths taken from `folder`."""
    updates: dict[str, Any] = {"prompts": _anchor_source(recipe.prompts, folder)}
    if recipe.evaluate.prompts is not None:
        anchored = _anchor_source(recipe.evaluate.prompts, folder)
        updates["evaluate"] = recipe.evaluate.model_copy(update={"prompts": anchored})
    return recipe.model_copy(update=updates)


def _anchor_source(source: PromptSource, folder: Path) -> PromptSource:
    moved = {name: folder / value for name, value in source if isinstance(value, Path) and not value.is_absolute()}
    return source.model_copy(update=moved)
