"""Forward KL on a served teacher's top-k log-probabilities, with all it did not say in one tail bucket.

Renormalising the teacher over its top k inflates every kept token by 1/mass (at k = 20 by a fifth on peaked text and
by four fifths on flat text), and dropping the rest teaches the student that nothing else can happen. Here both sides
keep their k tokens and the sum of everything else, and the KL is taken between those k + 1 buckets. It is a lower bound
of the full KL (data-processing inequality) and is zero exactly where the student agrees on the k and on the tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spiritsafe.distil.loss import LossSettings, Signal, Targets

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1.1754943508222875e-38
"""Smallest normal float32: the floor under the student's tail. Below it the gradient on the tail is zero, not NaN."""


@dataclass(frozen=True, slots=True)
class TopKForwardKL:
    """sum_k p_k log(p_k / q_k) + p_tail log(p_tail / q_tail), where p_tail = 1 - sum_k p_k and so for q.

    The student's tail is summed from the exponentials that are in it and never as 1 - sum_k q_k, which in float32 is
    noise once the tail is below 1e-6. With z the student's logits, the gradient is q_k - p_k at the k ids and
    q_j (1 - p_tail / q_tail) at every other id j.
    """

    name: str = "topk_forward_kl"
    signal: Signal = "logprobs"
    paper: str = "the bias it avoids: Anshumann et al. 2025, arXiv:2503.16870"

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """As `Loss.apply`."""
        assert targets.top_ids_N_K is not None
        assert targets.top_probs_N_K is not None
        soft, hard = settings.mix, 1.0 - settings.mix
        here_C_K = targets.top_ids_N_K >= 0
        ids_C_K = targets.top_ids_N_K.where(here_C_K, targets.top_ids_N_K[:, :1])
        p_C_K = targets.top_probs_N_K.to(logits_C_V.dtype)
        p_tail_C_1 = (1.0 - p_C_K.sum(1, keepdim=True)).clamp_min(0.0)
        labels_C_1 = targets.labels_N[:, None]

        top_logits_C_K, label_logits_C_1 = logits_C_V.gather(1, ids_C_K), logits_C_V.gather(1, labels_C_1)
        largest_C_1 = logits_C_V.amax(1, keepdim=True)
        exp_C_V = logits_C_V.sub_(largest_C_1).exp_()
        top_exp_C_K = exp_C_V.gather(1, ids_C_K)
        tail_C_1 = exp_C_V.scatter_(1, ids_C_K, 0.0).sum(1, keepdim=True).clamp_min(SMALLEST)
        total_C_1 = tail_C_1 + (top_exp_C_K * here_C_K).sum(1, keepdim=True)
        log_total_C_1 = largest_C_1 + total_C_1.log()
        log_q_C_K = top_logits_C_K - log_total_C_1
        log_q_tail_C_1 = (tail_C_1 / total_C_1).clamp_min(SMALLEST).log()

        loss_C = (p_C_K.xlogy(p_C_K) - p_C_K * log_q_C_K).sum(1)
        loss_C = loss_C + (p_tail_C_1.xlogy(p_tail_C_1) - p_tail_C_1 * log_q_tail_C_1).squeeze(1)
        # Absent slots carry the row's first id, so they must write what the first slot writes.
        p_written_C_K = p_C_K.where(here_C_K, p_C_K[:, :1])
        exp_C_V.mul_(total_C_1.reciprocal() - soft * p_tail_C_1 / tail_C_1)
        exp_C_V.scatter_(1, ids_C_K, top_exp_C_K / total_C_1 - soft * p_written_C_K)
        if not hard:
            return loss_C
        exp_C_V.scatter_add_(1, labels_C_1, p_tail_C_1.new_full(labels_C_1.shape, -hard))
        return soft * loss_C + hard * (log_total_C_1 - label_logits_C_1).squeeze(1)
