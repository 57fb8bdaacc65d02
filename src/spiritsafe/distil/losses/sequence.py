"""Sequence-level distillation: cross-entropy on the tokens of the teacher's answers.

Kim and Rush 2016, "Sequence-Level Knowledge Distillation", section 3.2. Needs nothing of the teacher but its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spiritsafe.distil.loss import LossSettings, Signal, Targets

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sequence:
    """-log q(y) at every answer token y. `mix` changes nothing: both parts are the same."""

    name: str = "sequence"
    signal: Signal = "text"
    paper: str = "Kim and Rush 2016, arXiv:1606.07947"

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """As `Loss.apply`."""
        return cross_entropy_(logits_C_V, targets.labels_N)


def cross_entropy_(logits_C_V: Tensor, labels_C: Tensor) -> Tensor:
    """Cross-entropy of each row; the logits are overwritten with its gradient, softmax minus one-hot."""
    labels_C_1 = labels_C[:, None]
    label_logits_C_1 = logits_C_V.gather(1, labels_C_1)
    largest_C_1 = logits_C_V.amax(1, keepdim=True)
    exp_C_V = logits_C_V.sub_(largest_C_1).exp_()
    total_C_1 = exp_C_V.sum(1, keepdim=True)
    loss_C_1 = largest_C_1 - label_logits_C_1 + total_C_1.log()
    exp_C_V.mul_(total_C_1.reciprocal())
    exp_C_V.scatter_add_(1, labels_C_1, total_C_1.new_full(labels_C_1.shape, -1.0))
    return loss_C_1.squeeze(1)
