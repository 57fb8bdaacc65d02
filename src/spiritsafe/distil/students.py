"""Students: one trained for each budget of kept exchanges, saved with the record of its training.

A student that was trained on the same rows with the same settings is not trained again, and one that was interrupted
goes on from its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import torch

from spiritsafe.distil.loss import Signal
from spiritsafe.distil.prompt import CollectedRow, row_from_json
from spiritsafe.distil.ranks import Ranks
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.rows import TokenRow, token_rows, trainable
from spiritsafe.distil.run import RunFolder, read_lines
from spiritsafe.distil.student import load_student, save_student, with_lora
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.distil.train import fit, loss_of
from spiritsafe.distil.trained import OnTrainProgress, TrainSummary
from spiritsafe.errors import InputError, shown
from spiritsafe.models.local import Weights, load_weights

RECORD = "train.json"


def kept_rows(run: RunFolder, budget: int | None) -> list[CollectedRow]:
    """The first `budget` kept exchanges (None: all of them), in the order they were collected.

    Raises:
        InputError: the curate stage has not been run, or kept nothing.
    """
    rows = [row_from_json(line) for line in islice(read_lines(run.curated), budget)]
    if not rows:
        raise InputError(f"{shown(str(run.curated))} has no rows; see dropped.jsonl for why, and loosen the cuts")
    return rows


def train_student(
    run: RunFolder,
    recipe: Recipe,
    budget: int,
    *,
    ranks: Ranks | None = None,
    on_progress: OnTrainProgress | None = None,
) -> TrainSummary:
    """The student of the first `budget` kept exchanges, trained and saved, or found as it was saved.

    Args:
        run, recipe: the run.
        budget: how many kept exchanges to train on.
        ranks: this process's place among several; only the first writes.
        on_progress: told after every step.

    Raises:
        InputError: there is nothing to train on, or settings and model do not fit together.
        StoreError: a checkpoint or the student could not be written.
    """
    ranks = ranks or Ranks()
    rows = kept_rows(run, budget)
    folder = run.student(budget, recipe.budgets)
    fingerprint = _fingerprint(recipe, rows)
    found = _found(folder, fingerprint)
    if found is not None:
        return found
    if recipe.train.threads is not None:
        torch.set_num_threads(recipe.train.threads)
    model, tokenizer = load_student(recipe.student)
    teacher, teacher_template = white_box_teacher(recipe, loss_of(recipe.train).signal, tokenizer)
    given = _given(rows, recipe, ChatTemplate(tokenizer), teacher_template)
    model = model.to(ranks.device)
    if recipe.train.freeze_embeddings:
        model.get_input_embeddings().weight.requires_grad_(False)
    if recipe.train.lora is not None:
        model = with_lora(model, recipe.train.lora, recipe.train.seed)
    resume = run.root / "checkpoints" / f"{budget}.pt"
    summary = fit(
        model,
        tokenizer,
        given,
        recipe.train,
        teacher=None if teacher is None else teacher.to(ranks.device),
        resume=resume,
        fingerprint=fingerprint,
        ranks=ranks,
        on_progress=on_progress,
    )
    summary = replace(
        summary,
        budget=len(rows),
        left_out=len(rows) - len(given),
        folder=folder.relative_to(run.root).as_posix(),
        fingerprint=fingerprint,
    )
    if ranks.first:
        record = orjson.dumps(summary.to_json(), option=orjson.OPT_INDENT_2)
        save_student(model.to("cpu"), tokenizer, folder, {RECORD: record})
        resume.unlink(missing_ok=True)
    return summary


def _found(folder: Path, fingerprint: str) -> TrainSummary | None:
    record = folder / RECORD
    if not record.exists():
        return None
    summary = TrainSummary.from_json(orjson.loads(record.read_bytes()))
    return summary if summary.fingerprint == fingerprint else None


def _fingerprint(recipe: Recipe, rows: Sequence[CollectedRow]) -> str:
    settings = recipe.model_dump(mode="json", include={"student", "train"})
    facts = [settings, [(row.exchange.id, row.exchange.answer) for row in rows]]
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def white_box_teacher(
    recipe: Recipe, signal: Signal, tokenizer: Any, load: Callable[[str], Weights] = load_weights
) -> tuple[Any, ChatTemplate | None]:
    """The local teacher and its chat template, where the loss needs its weights; else None.

    Args:
        recipe: names the teacher.
        signal: what the loss needs.
        tokenizer: the student's.
        load: gives the model of a name, in float32.

    Raises:
        InputError: the teacher is not local, or an id does not mean the same to both.
    """
    if signal != "weights":
        return None, None
    if recipe.teacher.endpoint != "local":
        raise InputError(
            f"train.loss {shown(recipe.train.loss)} needs the teacher's weights, got endpoint "
            f"{shown(recipe.teacher.endpoint)}; set teacher.endpoint = 'local', or use 'sequence' or 'topk_forward_kl'"
        )
    weights = load(recipe.teacher.model)
    require_same_vocabulary(tokenizer, weights.tokenizer)
    return weights.module, ChatTemplate(weights.tokenizer)


def require_same_vocabulary(student: Any, teacher: Any) -> None:
    """Make sure that every id the two tokenizers can emit means the same; rows of the heads past that may differ.

    Raises:
        InputError: one does not.
    """
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if ours == theirs:
        return
    other = sorted((theirs.keys() | ours.keys()), key=str)
    token = next(token for token in other if ours.get(token) != theirs.get(token))
    raise InputError(
        f"token {shown(token)} is id {ours.get(token)} to the student and {theirs.get(token)} to the teacher, wanted "
        "one vocabulary for both; take a student of the teacher's family, or loss 'sequence'"
    )


def _given(
    rows: Sequence[CollectedRow], recipe: Recipe, template: ChatTemplate, teacher_template: ChatTemplate | None
) -> list[TokenRow]:
    """The rows that can be trained on, as token ids."""
    signal = loss_of(recipe.train).signal
    every = token_rows(
        rows,
        template,
        recipe.student,
        max_length=recipe.train.max_length,
        signal=signal,
        teacher_template=teacher_template,
    )
    given = trainable(every, signal)
    if not given:
        raise InputError(f"none of {len(rows)} rows can be trained on; run  spiritsafe distil check  to see why")
    return given
