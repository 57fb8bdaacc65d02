"""The head and the loss as one step: hidden states and the head's weight in, loss and both gradients out.

The logits of a chunk of rows are made, turned into their own gradient where they lie, multiplied into the gradients of
hidden states and weight, and overwritten by the next chunk. So the gradient is complete when the forward pass ends, and
memory is chunk x vocabulary whatever the number of positions. It costs the three matrix products that any head costs
and a few passes over the chunk.

Ids at or past `vocab` are padding rows of the head that no tokenizer emits: they are cut off before the first product,
which is what masking them to minus infinity comes to, and their gradient is zero.

Dtypes: the softmax is float32 (float64 for float64 inputs) whatever the inputs; bfloat16 inputs multiply in bfloat16 on
a GPU with float32 results and float32 accumulation of the weight's gradient, and in float32 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spiritsafe.distil.loss import Loss, LossSettings, Targets


@dataclass(frozen=True, slots=True)
class Head:
    """Hidden states and the linear layer that makes logits of them.

    Attributes:
        hidden_N_H: last hidden states at the supervised positions.
        weight_V_H: the layer's weight; rows are token ids, those past the tokenizer's vocabulary are never used.
        bias_V: its bias, if any.
    """

    hidden_N_H: Tensor
    weight_V_H: Tensor
    bias_V: Tensor | None = None


def linear_loss(
    head: Head,
    loss: Loss,
    targets: Targets,
    settings: LossSettings | None = None,
    *,
    teacher: Head | None = None,
    vocab: int | None = None,
    chunk_rows: int = 256,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """`scale` times the sum of the loss over N rows, and the N unscaled losses (without gradient).

    Gradients flow to whichever of hidden states, weight and bias want one; what wants none costs nothing.

    Args:
        head: the student's. With tied embeddings the weight's gradient adds to the embedding's as usual.
        loss: a row of `LOSSES`.
        targets: of the same N rows.
        settings: mix, beta, temperature.
        teacher: a local teacher's, at the same positions, of any width; its logits are made chunk by chunk as well.
        vocab: how many ids the tokenizer has; None for all rows of the weight.
        chunk_rows: rows of logits held at a time. 128 to 512 on a CPU, 2,048 to 4,096 on a GPU, where each chunk reads
            and writes the whole gradient of the weight.
        scale: one over the number of supervised tokens of the whole optimiser batch makes the sum a mean.
    """
    total, losses_N = _LinearLoss.apply(  # type: ignore[no-untyped-call]  # torch ships it without types
        head.hidden_N_H,
        head.weight_V_H,
        head.bias_V,
        loss,
        targets,
        settings or LossSettings(),
        teacher,
        len(head.weight_V_H) if vocab is None else vocab,
        chunk_rows,
        scale,
    )
    return total, losses_N


class _LinearLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_N_H: Tensor,
        weight_V_H: Tensor,
        bias_V: Tensor | None,
        loss: Loss,
        targets: Targets,
        settings: LossSettings,
        teacher: Head | None,
        vocab: int,
        chunk_rows: int,
        scale: float,
    ) -> tuple[Tensor, Tensor]:
        rows = len(hidden_N_H)
        exact = torch.promote_types(hidden_N_H.dtype, torch.float32)
        operand = _operand_dtype(hidden_N_H, exact)
        logits_of = _Logits(Head(hidden_N_H, weight_V_H, bias_V), vocab, operand, exact, min(chunk_rows, rows))
        teacher_of = None if teacher is None else _Logits(teacher, vocab, operand, exact, min(chunk_rows, rows))
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden_N_H, dtype=exact) if wants_hidden else None
        grad_weight = _empty_gradient(weight_V_H, exact, vocab if rows else 0) if wants_weight else None
        grad_bias = torch.zeros_like(bias_V, dtype=exact) if wants_bias and bias_V is not None else None

        losses_N = hidden_N_H.new_empty(rows, dtype=exact)
        for start in range(0, rows, chunk_rows):
            stop = min(start + chunk_rows, rows)
            wanted = targets.rows(start, stop)
            if teacher_of is not None:
                wanted = replace(wanted, teacher_logits_N_V=teacher_of(start, stop))
            logits_C_V = logits_of(start, stop)
            losses_N[start:stop] = loss.apply(logits_C_V, wanted, settings)
            gradient_C_V = logits_C_V.to(operand)
            if grad_hidden is not None:
                product_into(grad_hidden[start:stop], gradient_C_V, logits_of.weight_V_H)
            if grad_weight is not None:
                add_product(grad_weight[:vocab], gradient_C_V.T, logits_of.hidden(start, stop), scale, keep=start > 0)
            if grad_bias is not None:
                grad_bias[:vocab].add_(logits_C_V.sum(0), alpha=scale)

        ctx.grads = (
            None if grad_hidden is None else grad_hidden.mul_(scale).to(hidden_N_H.dtype),
            None if grad_weight is None else grad_weight.to(weight_V_H.dtype),
            None if grad_bias is None or bias_V is None else grad_bias.to(bias_V.dtype),
        )
        ctx.mark_non_differentiable(losses_N)
        return losses_N.sum() * scale, losses_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grads = tuple(None if grad is None else _times(grad, grad_total) for grad in ctx.grads)
        del ctx.grads
        return (*grads, *(None,) * 7)


class _Logits:
    """Makes the logits of a chunk of rows, always into the same memory."""

    def __init__(self, head: Head, vocab: int, operand: torch.dtype, exact: torch.dtype, chunk_rows: int) -> None:
        self.hidden_N_H, self.operand = head.hidden_N_H.detach(), operand
        self.weight_V_H = head.weight_V_H.detach()[:vocab].to(operand)
        self.bias_V = None if head.bias_V is None else head.bias_V.detach()[:vocab].to(exact)
        self.buffer_C_V = self.hidden_N_H.new_empty((chunk_rows, vocab), dtype=exact)

    def hidden(self, start: int, stop: int) -> Tensor:
        return self.hidden_N_H[start:stop].to(self.operand)

    def __call__(self, start: int, stop: int) -> Tensor:
        logits_C_V = product_into(self.buffer_C_V[: stop - start], self.hidden(start, stop), self.weight_V_H.T)
        return logits_C_V if self.bias_V is None else logits_C_V.add_(self.bias_V)


def _operand_dtype(hidden_N_H: Tensor, exact: torch.dtype) -> torch.dtype:
    """The dtype the products read: half precision on a GPU where the model runs in it, else what the softmax uses."""
    if not hidden_N_H.is_cuda:
        return exact
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else hidden_N_H.dtype


def _times(grad: Tensor, factor: Tensor) -> Tensor:
    """`grad` times `factor`, in place; the usual factor 1 is not worth a pass over vocabulary x width on a CPU."""
    return grad if not factor.is_cuda and float(factor) == 1.0 else grad.mul_(factor.to(grad.dtype))


def product_into(out: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left @ right written into `out`, which may be wider than the operands (bfloat16 into float32)."""
    if left.dtype == out.dtype:
        return torch.mm(left, right, out=out)
    torch.ops.aten.mm.dtype_out(left, right, out.dtype, out=out)
    return out


def add_product(total: Tensor, left: Tensor, right: Tensor, scale: float, *, keep: bool) -> None:
    """total = total (or 0, where it is not to `keep`) + scale left @ right, accumulated in the dtype of `total`."""
    beta = 1.0 if keep else 0.0
    if left.dtype == total.dtype:
        total.addmm_(left, right, beta=beta, alpha=scale)
    else:
        torch.ops.aten.addmm.dtype_out(total, left, right, total.dtype, beta=beta, alpha=scale, out=total)


def _empty_gradient(weight_V_H: Tensor, exact: torch.dtype, written: int) -> Tensor:
    """Room for the weight's gradient: the first `written` rows are left for the first chunk to write, the rest is zero.

    Zeroing all of it first would be a pass over vocabulary x width more.
    """
    gradient_V_H = torch.empty_like(weight_V_H, dtype=exact)
    gradient_V_H[written:].zero_()
    return gradient_V_H
