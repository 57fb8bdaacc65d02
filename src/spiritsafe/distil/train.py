"""Train: the loop in which a student learns from kept exchanges.

    summary = train_student(run, recipe, rows, budget)      a run's student, saved in its folder
    summary = fit(model, tokenizer, token_rows, settings)   the loop alone

The loss of a step is the sum over its supervised tokens divided once by their number, whatever the micro-batches and
ranks it is worked off in; so a gradient does not depend on how its batch was split. The head runs on supervised
positions only and never holds more than a chunk of logits (`losses.linear`).

On a CPU everything is float32 and a seed gives the same weights again, also across an interruption. On a GPU the model
runs in bfloat16 under autocast, weights, softmax and sums stay float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import torch

from spiritsafe.distil import checkpoint
from spiritsafe.distil.batches import MicroBatch, collate, micro_batches, share_of, steps_of
from spiritsafe.distil.heads import head_of, hidden_states, require_linear_head
from spiritsafe.distil.loss import Loss, LossSettings
from spiritsafe.distil.losses import LOSSES
from spiritsafe.distil.losses.linear import Head, linear_loss
from spiritsafe.distil.optim import adamw, learning_rate_at, set_learning_rate
from spiritsafe.distil.ranks import Ranks, add_gradients, total_of, wait_for_all
from spiritsafe.distil.recipe import Train
from spiritsafe.distil.rows import TokenRow
from spiritsafe.distil.student import pad_id_of
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.distil.trained import OnTrainProgress, TrainProgress, TrainSummary, curve_of, peak_rss_mb
from spiritsafe.errors import InputError, shown

Clock = Callable[[], float]


def fit(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TokenRow],
    settings: Train,
    *,
    teacher: Any = None,
    resume: Path | None = None,
    fingerprint: str = "",
    ranks: Ranks | None = None,
    on_progress: OnTrainProgress | None = None,
    clock: Clock = time.monotonic,
) -> TrainSummary:
    """Train `model` on `rows` in place.

    Args:
        model: a causal model of transformers, or one with peft adapters; what wants no gradient stays as it is.
        tokenizer: the model's.
        rows: what to train on, all of it in every epoch.
        settings: the recipe's section.
        teacher: a local model over the same vocabulary, for losses that need its weights.
        resume: where to keep a checkpoint, and to go on from if there is one.
        fingerprint: names the run; a checkpoint with another one is not used.
        ranks: this process's place among several.
        on_progress: told after every step.
        clock: monotonic seconds, for checkpoints and speed.

    Raises:
        InputError: loss, model and settings do not fit together; the message says what to change.
        StoreError: a checkpoint could not be written or read.
    """
    ranks = ranks or Ranks()
    learner = Learner(model, tokenizer, settings, teacher)
    optimizer = adamw(learner.learned, settings)
    steps = steps_of(len(rows), settings.batch_size, settings.epochs, settings.seed)
    done = checkpoint.restore(resume, fingerprint, model, optimizer) if resume else checkpoint.Done()
    wait_for_all(ranks)  # the first rank must not write the checkpoint anew before the others have read it
    sitting = _Sitting(done, clock)
    model.train()

    for step in range(done.steps, len(steps)):
        torch.manual_seed(seed_of(settings.seed, step, ranks.rank))
        batch = [rows[number] for number in steps[step]]
        supervised = sum(row.supervised for row in batch)
        loss = 0.0
        for group in micro_batches(share_of(batch, ranks.rank, ranks.world), settings.micro_batch_tokens):
            loss += learner.learn(group, 1.0 / supervised)
        add_gradients(learner.learned, ranks)
        torch.nn.utils.clip_grad_norm_(learner.learned, settings.clip_norm)
        set_learning_rate(optimizer, learning_rate_at(step, len(steps), settings))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        sitting.count(total_of(loss, ranks), sum(len(row.ids) for row in batch))
        if resume and ranks.first and sitting.is_due(settings.checkpoint_every_s) and done.steps < len(steps):
            checkpoint.save(resume, fingerprint, done, model, optimizer)
        if on_progress is not None and ranks.first:
            on_progress(sitting.progress(len(steps)))

    model.eval()
    wait_for_all(ranks)
    return _summary(learner, rows, len(steps), sitting, ranks)


class Learner:
    """Student, loss and precision together: what turns rows into gradients.

    Raises:
        InputError: the loss does not exist or does not fit the settings, a head is not linear, or the teacher is
            missing.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: Train, teacher: Any = None) -> None:
        self.model, self.teacher, self.settings = model, teacher, settings
        self.loss = loss_of(settings)
        self.how = LossSettings(settings.mix, settings.beta, settings.temperature)
        if self.loss.signal == "weights" and teacher is None:
            raise InputError(
                f"train.loss {shown(self.loss.name)} needs the teacher's weights; set teacher.endpoint to 'local', or "
                "take loss 'topk_forward_kl' or 'sequence'"
            )
        for one in (model,) if teacher is None else (model, teacher):
            require_linear_head(one)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        template = ChatTemplate(tokenizer)
        self.vocab, self.pad_id = template.vocab, pad_id_of(tokenizer, template.stop_id)
        self.learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.device = self.learned[0].device
        self.precision = precision_of(settings, self.device)

    def learn(self, rows: Sequence[TokenRow], scale: float) -> float:
        """Add the gradient of `scale` times the summed loss of `rows`; returns that value."""
        batch = collate(rows, self.pad_id, self.device)
        with self._autocast():
            total, _ = linear_loss(
                _head(self.model, batch.ids_B_L, batch.at_N),
                self.loss,
                batch.targets,
                self.how,
                teacher=self._heard(batch),
                vocab=self.vocab,
                chunk_rows=self.settings.vocab_chunk_rows,
                scale=scale,
            )
        total.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        return float(total.detach())

    def _heard(self, batch: MicroBatch) -> Head | None:
        if self.loss.signal != "weights" or batch.teacher_ids_B_L is None or batch.teacher_at_N is None:
            return None
        with torch.no_grad():
            return _head(self.teacher, batch.teacher_ids_B_L, batch.teacher_at_N)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def _head(model: Any, ids_B_L: torch.Tensor, at_N: torch.Tensor) -> Head:
    states_B_L_H = hidden_states(model, ids_B_L)
    weight_V_H, bias_V = head_of(model)
    return Head(states_B_L_H.flatten(0, 1).index_select(0, at_N), weight_V_H, bias_V)


def loss_of(settings: Train) -> Loss:
    """The recipe's loss.

    Raises:
        InputError: there is none of that name, or a temperature is set where it has no meaning.
    """
    loss = LOSSES.get(settings.loss)
    if settings.temperature != 1.0 and loss.signal != "weights":
        raise InputError(
            f"train.temperature: got {settings.temperature} with loss {shown(loss.name)}, wanted 1.0; a served teacher "
            "gives probabilities of its top tokens at temperature 1, which cannot be softened without the rest"
        )
    return loss


def precision_of(settings: Train, device: torch.device) -> str:
    """What the model computes in: as set, else bfloat16 on a GPU that has it and float32 elsewhere."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def seed_of(seed: int, step: int, rank: int) -> int:
    """The seed of dropout in one step of one rank, so that a resumed run drops the same units."""
    return Random(f"{seed}/{step}/{rank}").getrandbits(63)


class _Sitting:
    """Counts steps, time and tokens of this sitting onto what earlier ones have done."""

    def __init__(self, done: checkpoint.Done, clock: Clock) -> None:
        self.done, self.clock, self.resumed_at = done, clock, done.steps
        self._started_s = self._saved_at_s = clock()
        self._started_cpu_s = time.process_time()
        self._before_s, self._before_cpu_s, self._tokens = done.seconds, done.cpu_s, 0

    def count(self, loss: float, tokens: int) -> None:
        self.done.steps += 1
        self.done.losses.append(loss)
        self.done.seconds = self._before_s + self.clock() - self._started_s
        self.done.cpu_s = self._before_cpu_s + time.process_time() - self._started_cpu_s
        self._tokens += tokens

    def is_due(self, every_s: float) -> bool:
        """Whether it is time for a checkpoint; if so, the next is due `every_s` from now."""
        due = self.clock() - self._saved_at_s >= every_s
        self._saved_at_s = self.clock() if due else self._saved_at_s
        return due

    def progress(self, steps: int) -> TrainProgress:
        took_s = max(self.clock() - self._started_s, 1e-9)
        pace_s = took_s / (self.done.steps - self.resumed_at)
        left = steps - self.done.steps
        return TrainProgress(self.done.steps, steps, self.done.losses[-1], self._tokens / took_s, left * pace_s)


def _summary(learner: Learner, rows: Sequence[TokenRow], steps: int, sitting: _Sitting, ranks: Ranks) -> TrainSummary:
    settings, done = learner.settings, sitting.done
    tokens = settings.epochs * sum(len(row.ids) for row in rows)
    an_epoch = max(1, steps // settings.epochs)
    first, last = done.losses[:an_epoch], done.losses[-an_epoch:]
    wanted_logprobs = learner.loss.signal == "logprobs"
    return TrainSummary(
        loss=learner.loss.name,
        rows=len(rows),
        steps=steps,
        epochs=settings.epochs,
        tokens=tokens,
        supervised_tokens=settings.epochs * sum(row.supervised for row in rows),
        seconds=round(done.seconds, 3),
        cpu_s=round(done.cpu_s, 3),
        tokens_per_s=round(tokens / max(done.seconds, 1e-9), 1),
        tokens_per_cpu_s=round(tokens / max(done.cpu_s, 1e-9), 1),
        first_loss=sum(first) / len(first),
        last_loss=sum(last) / len(last),
        loss_curve=curve_of(done.losses),
        parameters=sum(parameter.numel() for parameter in learner.model.parameters()),
        trained_parameters=sum(parameter.numel() for parameter in learner.learned),
        peak_rss_mb=peak_rss_mb(),
        device=str(learner.device),
        precision=learner.precision,
        ranks=ranks.world,
        resumed_at=sitting.resumed_at,
        without_logprobs=sum(wanted_logprobs and row.top is None for row in rows),
        settings=settings.model_dump(mode="json"),
    )
