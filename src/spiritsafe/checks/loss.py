"""What every loss promises, as functions that raise AssertionError where it does not hold.

A package that adds a loss tests it by calling `check_loss` with it. All of it runs on a CPU in about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from spiritsafe.distil.loss import Loss, LossSettings, Targets
from spiritsafe.distil.losses.linear import Head, linear_loss

ROWS, WIDTH, VOCAB, TOP = 7, 5, 23, 4
ROUNDING = 2e-5
"""What float32 may be off by on logits of a few nats."""


def settings_of(loss: Loss) -> list[LossSettings]:
    """Settings a loss is checked with; heat and beta only where the whole vocabulary is seen."""
    plain = [LossSettings(), LossSettings(mix=0.3), LossSettings(mix=0.0)]
    if loss.signal != "weights":
        return plain
    return [*plain, LossSettings(beta=0.1, temperature=2.0), LossSettings(mix=0.5, beta=0.9, temperature=0.7)]


def targets_of(loss: Loss, teacher_N_V: Tensor) -> Targets:
    """What a teacher with these logits gives of itself to a loss that needs text, log-probabilities or weights."""
    labels_N = teacher_N_V.argmax(1)
    if loss.signal == "text":
        return Targets(labels_N)
    if loss.signal == "weights":
        return Targets(labels_N, teacher_logits_N_V=teacher_N_V)
    probs_N_K, ids_N_K = teacher_N_V.softmax(1).topk(min(TOP, teacher_N_V.shape[1]))
    return Targets(labels_N, ids_N_K, probs_N_K)


def random_logits(seed: int, dtype: torch.dtype = torch.float64, *, vocab: int = VOCAB, spread: float = 3.0) -> Tensor:
    """Logits (ROWS, vocab) with a standard deviation of `spread` nats."""
    return torch.randn(ROWS, vocab, generator=torch.Generator().manual_seed(seed), dtype=dtype) * spread


def cases_of(loss: Loss, dtype: torch.dtype = torch.float64) -> Iterator[tuple[Tensor, Targets, LossSettings]]:
    """Student logits, targets and settings to try the loss with."""
    for seed, settings in enumerate(settings_of(loss)):
        yield random_logits(seed, dtype), targets_of(loss, random_logits(seed + 100, dtype)), settings


def is_never_negative(loss: Loss) -> None:
    """No row of any case is below zero by more than rounding."""
    for logits_N_V, targets, settings in cases_of(loss, torch.float32):
        losses_N = loss.apply(logits_N_V, targets, settings)
        assert float(losses_N.min()) >= -ROUNDING, f"{loss.name} is {float(losses_N.min())} with {settings}"


def is_zero_where_student_and_teacher_agree(loss: Loss) -> None:
    """At every single position, with every setting that is not mixed with cross-entropy.

    A loss that sees only text agrees where the student is certain of the teacher's tokens.
    """
    for seed, settings in enumerate(settings_of(loss)):
        teacher_N_V = random_logits(seed, torch.float32)
        if loss.signal == "text":
            teacher_N_V = torch.nn.functional.one_hot(teacher_N_V.argmax(1), VOCAB).float() * 100.0
        targets = targets_of(loss, teacher_N_V)
        losses_N = loss.apply(teacher_N_V.clone(), targets, replace(settings, mix=1.0))
        assert float(losses_N.abs().max()) <= ROUNDING, f"{loss.name} is {losses_N.tolist()} where both agree"


def leaves_its_slope_behind(loss: Loss) -> None:
    """What it overwrites the logits with is what finite differences of its value give, in float64."""
    step = 1e-6
    for logits_N_V, targets, settings in cases_of(loss):
        gradient_N_V = logits_N_V.clone()
        loss.apply(gradient_N_V, targets, settings)
        for column in range(VOCAB):
            up_N_V, down_N_V = logits_N_V.clone(), logits_N_V.clone()
            up_N_V[:, column] += step
            down_N_V[:, column] -= step
            higher_N, lower_N = (loss.apply(moved, targets, settings) for moved in (up_N_V, down_N_V))
            off = float(((higher_N - lower_N) / (2 * step) - gradient_N_V[:, column]).abs().max())
            assert off <= 1e-6, f"{loss.name}: the gradient of id {column} is off by {off} with {settings}"


def does_not_see_a_shift(loss: Loss) -> None:
    """A constant added to a row's logits changes nothing, so a row's gradient sums to zero."""
    for logits_N_V, targets, settings in cases_of(loss):
        shifted_N_V = logits_N_V + 7.0
        off_N = loss.apply(logits_N_V, targets, settings) - loss.apply(shifted_N_V, targets, settings)
        assert float(off_N.abs().max()) <= 1e-9, f"{loss.name} sees a shift of the logits"
        assert float(logits_N_V.sum(1).abs().max()) <= 1e-9, f"{loss.name}: a row's gradient does not sum to zero"


def judges_every_row_by_itself(loss: Loss) -> None:
    """A row's loss and gradient are the same alone and among others."""
    for logits_N_V, targets, settings in cases_of(loss):
        alone_N_V = logits_N_V.clone()
        together_N = loss.apply(logits_N_V, targets, settings)
        for row in range(ROWS):
            alone = loss.apply(alone_N_V[row : row + 1], targets.rows(row, row + 1), settings)
            assert abs(float(alone[0] - together_N[row])) <= 1e-9, f"{loss.name} mixes rows"
        assert torch.allclose(alone_N_V, logits_N_V, atol=1e-9), f"{loss.name} mixes the gradients of rows"


def stays_finite(loss: Loss) -> None:
    """Student and teacher may be certain, and certain of different tokens."""
    for settings in settings_of(loss):
        student_N_V, teacher_N_V = random_logits(1, torch.float32, spread=2e3), random_logits(2, torch.float32)
        for teacher in (teacher_N_V, teacher_N_V * 1e3):
            gradient_N_V = student_N_V.clone()
            losses_N = loss.apply(gradient_N_V, targets_of(loss, teacher), settings)
            assert torch.isfinite(losses_N).all(), f"{loss.name} is {losses_N.tolist()} with {settings}"
            assert torch.isfinite(gradient_N_V).all(), f"{loss.name} has no finite gradient with {settings}"


def does_not_depend_on_chunks(loss: Loss) -> None:
    """Any chunk size gives the loss and the gradients of one dense pass."""
    for settings in settings_of(loss):
        dense = _through_a_head(loss, settings, chunk_rows=ROWS)
        for chunk_rows in (1, 2, 3, 100):
            for one, other in zip(dense, _through_a_head(loss, settings, chunk_rows=chunk_rows), strict=True):
                assert torch.allclose(one, other, atol=1e-12), f"{loss.name} changes with chunks of {chunk_rows}"


def does_not_see_padding_ids(loss: Loss) -> None:
    """Rows of the head past the vocabulary change nothing and are not changed, on either side."""
    for settings in settings_of(loss):
        plain = _through_a_head(loss, settings, chunk_rows=3)
        padded = _through_a_head(loss, settings, chunk_rows=3, padding=6)
        assert torch.allclose(plain[0], padded[0], atol=1e-12), f"{loss.name} sees padding ids"
        assert torch.allclose(plain[1], padded[1], atol=1e-12), f"{loss.name}: padding ids change a gradient"
        assert torch.allclose(plain[2], padded[2][:VOCAB], atol=1e-12), f"{loss.name}: padding ids change a gradient"
        assert float(padded[2][VOCAB:].abs().max()) == 0.0, f"{loss.name} moves the weights of padding ids"


def _through_a_head(loss: Loss, settings: LossSettings, *, chunk_rows: int, padding: int = 0) -> list[Tensor]:
    """Loss, gradient of hidden states and gradient of the weight, with a teacher of another width."""
    draw = torch.Generator().manual_seed(5)
    weight_V_H, teacher_V_G = (torch.randn(VOCAB, width, generator=draw).double() for width in (WIDTH, WIDTH + 2))
    hidden_N_H, teacher_N_G = (torch.randn(ROWS, width, generator=draw).double() for width in (WIDTH, WIDTH + 2))
    targets = replace(targets_of(loss, teacher_N_G @ teacher_V_G.T), teacher_logits_N_V=None)
    far_V_H, far_V_G = torch.full((padding, WIDTH), 9.0).double(), torch.full((padding, WIDTH + 2), -9.0).double()
    hidden_N_H.requires_grad_()
    weight_V_H = torch.cat([weight_V_H, far_V_H]).requires_grad_()
    total, _ = linear_loss(
        Head(hidden_N_H, weight_V_H),
        loss,
        targets,
        settings,
        teacher=Head(teacher_N_G, torch.cat([teacher_V_G, far_V_G])) if loss.signal == "weights" else None,
        vocab=VOCAB,
        chunk_rows=chunk_rows,
    )
    return [total.detach(), *torch.autograd.grad(total, [hidden_N_H, weight_V_H])]


PROMISES: tuple[Callable[[Loss], None], ...] = (
    is_never_negative,
    is_zero_where_student_and_teacher_agree,
    leaves_its_slope_behind,
    does_not_see_a_shift,
    judges_every_row_by_itself,
    stays_finite,
    does_not_depend_on_chunks,
    does_not_see_padding_ids,
)


def check_loss(loss: Loss) -> None:
    """Try every promise.

    Raises:
        AssertionError: one does not hold; the message says which and by how much.
    """
    for promise in PROMISES:
        promise(loss)
