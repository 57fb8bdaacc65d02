"""The evaluate stage: base, students and teacher on the same held-out items.

Reads `held_out.jsonl`, the student folders and the teacher's exchanges about the held-out prompts (collected like the
others, with its system prompt and shots, from the same ledger and budget). Writes `answers.jsonl`, whole after each
model, and the stage's summary. A model whose answers are there already, with the same weights and settings, is not
asked again; so a run that was killed goes on with the model it was at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.distil.answers import BASE, TEACHER, Given, ModelAnswers, judge, stored, teacher_given, write_answers
from spiritsafe.distil.measure import (
    Numbers,
    Precision,
    common_items,
    compared,
    dollars_per_million,
    four_cases,
    measured,
    recovered_by,
    samples_of,
)
from spiritsafe.distil.prompt import Prompt, prompt_from_json, row_from_json
from spiritsafe.distil.recipe import Evaluate, Recipe, Student
from spiritsafe.distil.run import RunFolder, read_lines
from spiritsafe.distil.verify import verifier_for
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Exchange
from spiritsafe.models.embedded import EMBEDDED, is_embedded

WEIGHT_FILES = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "tokenizer*.json", "*.jinja")


@dataclass(frozen=True, slots=True)
class Contender:
    """A local model to be evaluated.

    Attributes:
        name: "base" or "student-N".
        title: what it is, for people.
        stamp: changes when its weights or its settings do.
        load: gives module and tokenizer.
        exchanges: what it was trained on; 0 for the base.
        folder: where it lies, relative to the run's folder; None for the base.
    """

    name: str
    title: str
    stamp: str
    load: Callable[[], tuple[Any, Any]]
    exchanges: int = 0
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What a local model ran on, as reports say it."""

    parameters: int
    speed_note: str


OnAnswers = Callable[[str, int, int], None]
"""Told after each batch: the model's name, answers done, answers wanted."""


def _silent(name: str, done: int, wanted: int) -> None:
    return None


def evaluate(
    run: RunFolder,
    recipe: Recipe,
    contenders: Sequence[Contender],
    teacher_answers: Mapping[str, Exchange],
    *,
    clock: Callable[[], float] = time.monotonic,
    on_answers: OnAnswers = _silent,
) -> Numbers:
    """Ask every contender every held-out prompt, judge all answers, and write `answers.jsonl` and the summary.

    Args:
        run, recipe: the run.
        contenders: the base and at least one student, by growing exchanges (see `contenders_of`).
        teacher_answers: the teacher's exchange by prompt id (see `held_out_exchanges`).
        clock: seconds, monotonic.
        on_answers: told of progress.

    Raises:
        InputError: there are no held-out prompts, no judgeable answers, or a model cannot be used.
        StoreError: the disk did not take the answers.
    """
    began = clock()
    prompts = [prompt_from_json(line) for line in read_lines(run.held_out)]
    verify = verifier_for(recipe.evaluate.verifier)
    known = stored(run.answers)
    models = [judge(TEACHER, _teacher_stamp(teacher_answers), teacher_given(teacher_answers), prompts, verify)]
    machines: dict[str, Machine] = {}
    for one in contenders:
        have = known.get((one.name, one.stamp), {})
        given, machines[one.name] = _answers_of(one, prompts, have, recipe, clock, on_answers)
        models.append(judge(one.name, one.stamp, given, prompts, verify))
        write_answers(run.answers, prompts, [*models, *_later(contenders, models, known, prompts, verify)])
    summary = summarised(recipe, prompts, models, contenders, machines, teacher_answers)
    summary["wall_s"] = clock() - began
    run.finish("evaluate", recipe, summary)
    return summary


def _later(
    contenders: Sequence[Contender],
    models: Sequence[ModelAnswers],
    known: Mapping[tuple[str, str], Mapping[str, Given]],
    prompts: Sequence[Prompt],
    verify: Any,
) -> Iterator[ModelAnswers]:
    """The stored answers of contenders whose turn has not come, which must outlive being killed before it does."""
    for one in contenders[len(models) - 1 :]:
        if given := known.get((one.name, one.stamp)):
            yield judge(one.name, one.stamp, given, prompts, verify)


def _answers_of(
    contender: Contender,
    prompts: Sequence[Prompt],
    known: Mapping[str, Given],
    recipe: Recipe,
    clock: Callable[[], float],
    on_answers: OnAnswers,
) -> tuple[dict[str, Given], Machine]:
    # Imported here: the stage's arithmetic and its tests need no torch.
    from spiritsafe.distil.generate import generate
    from spiritsafe.distil.rows import student_messages

    module, tokenizer = contender.load()
    module = _placed(module)
    todo = [prompt for prompt in prompts if prompt.id not in known]
    asked = recipe.evaluate
    generated = generate(
        module,
        tokenizer,
        [student_messages(prompt.messages, recipe.student) for prompt in todo],
        max_new_tokens=asked.max_new_tokens,
        batch_size=asked.batch_size,
        clock=clock,
        on_answers=lambda done: on_answers(contender.name, len(known) + done, len(prompts)),
    )
    new = {
        prompt.id: Given(prompt.id, one.text, one.finish_reason, one.tokens, one.prompt_tokens, one.seconds)
        for prompt, one in zip(todo, generated, strict=True)
    }
    return {**known, **new}, _machine(module, asked)


def _placed(module: Any) -> Any:
    """The model on the GPU where there is one."""
    import torch

    return module.to("cuda") if torch.cuda.is_available() else module


def _machine(module: Any, asked: Evaluate) -> Machine:
    import torch

    where = f"{torch.get_num_threads()} CPU threads" if module.device.type == "cpu" else _device_name(module.device)
    return Machine(sum(weight.numel() for weight in module.parameters()), f"batches of {asked.batch_size}, {where}")


def _device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def summarised(
    recipe: Recipe,
    prompts: Sequence[Prompt],
    models: Sequence[ModelAnswers],
    contenders: Sequence[Contender],
    machines: Mapping[str, Machine],
    teacher_answers: Mapping[str, Exchange],
) -> Numbers:
    """The stage's summary: every number the report shows about answers. `models` are the teacher, then `contenders`."""
    precision = Precision(recipe.evaluate.confidence, recipe.evaluate.bootstrap, recipe.evaluate.seed)
    items = common_items(models)
    teacher, base = models[0], next(one for one in models if one.model == BASE)
    local = {c.name: _local(c, m, machines[c.name], items, precision, recipe) for c, m in _paired(contenders, models)}
    students = []
    for contender, answers in _paired(contenders, models):
        if contender.name != BASE:
            found = recovered_by(answers, base, teacher, items, precision)
            numbers = local[contender.name] | compared(answers, teacher, items, precision) | {"recovered": found}
            students.append(
                numbers
                | {
                    "model": contender.name,
                    "exchanges": contender.exchanges,
                    "folder": contender.folder,
                }
            )
    if not students:
        raise InputError("got no student to evaluate, wanted at least one; run  spiritsafe distil train  first")
    cases = four_cases(models[-1], teacher, items)
    return {
        "items": len(prompts),
        "judged": len(items),
        "unjudged": len(prompts) - len(items),
        "verifier": recipe.evaluate.verifier.model_dump(mode="json", exclude_defaults=True),
        "teacher": _teacher_numbers(recipe, teacher, teacher_answers, items, precision),
        "base": local[BASE],
        "students": students,
        "sample_counts": {name: len(ids) for name, ids in cases.items()},
        "samples": samples_of(cases),
    }


def _paired(
    contenders: Sequence[Contender], models: Sequence[ModelAnswers]
) -> Iterator[tuple[Contender, ModelAnswers]]:
    return zip(contenders, models[1:], strict=True)


def _local(
    contender: Contender,
    answers: ModelAnswers,
    machine: Machine,
    items: Sequence[str],
    precision: Precision,
    recipe: Recipe,
) -> Numbers:
    numbers = measured(answers, items, precision)
    per_hour = recipe.evaluate.machine_dollars_per_hour
    note = None if per_hour is not None else "The recipe gives no price of the machine that runs the student."
    return numbers | {
        "name": contender.title,
        "parameters": machine.parameters,
        "speed_note": machine.speed_note,
        "dollars_per_million_tokens": dollars_per_million(per_hour, numbers["tokens_per_s"]),
        "dollars_note": note,
    }


def _teacher_numbers(
    recipe: Recipe,
    answers: ModelAnswers,
    exchanges: Mapping[str, Exchange],
    items: Sequence[str],
    precision: Precision,
) -> Numbers:
    name = recipe.teacher.model
    asked = [exchanges[item] for item in items]
    dollars = [one.dollars for one in asked]
    tokens = sum(one.usage.output_tokens or 0 for one in asked)
    known = None not in dollars and tokens > 0
    paid = sum(amount for amount in dollars if amount is not None)
    return measured(answers, items, precision) | {
        "name": name,
        "parameters": round(EMBEDDED.get(name).params_millions * 1e6) if is_embedded(name) else None,
        "speed_note": "each request by itself, waiting and network included",
        "dollars_per_million_tokens": paid / tokens * 1e6 if known else None,
        "dollars_note": None if known else "The teacher's price is not known.",
    }


def held_out_exchanges(run: RunFolder) -> dict[str, Exchange]:
    """The teacher's exchange about each held-out prompt, by prompt id; of several samples the first.

    Raises:
        InputError: the collect stage has not been run, or a line is damaged.
    """
    found: dict[str, Exchange] = {}
    for line in read_lines(run.held_out_collected):
        row = row_from_json(line)
        found.setdefault(row.prompt.id, row.exchange)
    return found


def contenders_of(run: RunFolder, recipe: Recipe) -> list[Contender]:
    """The untrained base, then the students of `run` by growing exchanges.

    Raises:
        InputError: the curate stage has not been run, or a student is not there.
    """
    kept: int = run.read_summary("curate")["kept"]
    base = Contender(BASE, base_title(recipe.student), _stamp(recipe, []), lambda: _load_base(recipe.student))
    return [base, *(_student(run, recipe, budget, min(budget, kept)) for budget in recipe.budgets or (kept,))]


def _student(run: RunFolder, recipe: Recipe, budget: int, exchanges: int) -> Contender:
    folder = run.student(budget, recipe.budgets)
    files = sorted(path for pattern in WEIGHT_FILES for path in folder.glob(pattern))
    if not files:
        raise InputError(f"no student at {shown(str(folder))}; run  spiritsafe distil train  first")
    name = folder.relative_to(run.root).as_posix()
    title = f"student of {exchanges:,} exchanges"
    return Contender(
        f"student-{budget}",
        title,
        _stamp(recipe, _weights_facts(folder, files)),
        lambda: _load_folder(folder),
        exchanges,
        name,
    )


def _weights_facts(folder: Path, files: Sequence[Path]) -> list[Any]:
    """What changes when a student's weights do: the record of its training, else its files' sizes and times."""
    record = folder / "train.json"
    if record.exists():
        return [blake2b(record.read_bytes(), digest_size=12).hexdigest()]
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _stamp(recipe: Recipe, weights: Sequence[Any]) -> str:
    asked = {"max_new_tokens": recipe.evaluate.max_new_tokens, "batch_size": recipe.evaluate.batch_size}
    facts = [recipe.student.model_dump(mode="json"), asked, weights]
    return blake2b(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def _teacher_stamp(exchanges: Mapping[str, Exchange]) -> str:
    ids = sorted((prompt_id, one.id) for prompt_id, one in exchanges.items())
    return blake2b(orjson.dumps(ids), digest_size=12).hexdigest()


def base_title(student: Student) -> str:
    """The student's starting point in words: its model, and which layers were kept."""
    name = Path(student.model).name if Path(student.model).is_absolute() else student.model
    return f"{len(student.layers)} layers of {name}" if student.layers else name


def _load_base(student: Student) -> tuple[Any, Any]:
    from spiritsafe.distil.student import load_student

    return load_student(student)


def _load_folder(folder: Path) -> tuple[Any, Any]:
    from spiritsafe.models.local import load_weights

    weights = load_weights(str(folder), dtype="float32")
    return weights.module, weights.tokenizer
