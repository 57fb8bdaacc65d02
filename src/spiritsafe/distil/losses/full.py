"""Divergences over the full vocabulary, for a teacher whose weights are in this process.

With p the teacher's and q the student's distribution at temperature T:

    forward_kl  KL(p || q)                                          Hinton et al. 2015
    reverse_kl  KL(q || p)                                          Gu et al. 2024 (MiniLLM)
    jsd         [b KL(p || m) + (1-b) KL(q || m)] / (b (1-b)),      Agarwal et al. 2024 (GKD), scaled
                m = b p + (1-b) q, b = beta the teacher's weight

Plain generalized JSD shrinks like b (1-b): moving beta from 0 to 0.1 would quietly divide the loss by eleven. Divided
by b (1-b) it runs without a jump from forward KL at beta = 0 to reverse KL at beta = 1, and at beta = 0.5 it is four
times the ordinary JSD. All are multiplied by T squared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from spiritsafe.distil.loss import LossSettings, Signal, Targets
from spiritsafe.distil.losses.sequence import cross_entropy_

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ForwardKL:
    """KL(teacher || student): the student must cover all that the teacher may say."""

    name: str = "forward_kl"
    signal: Signal = "weights"
    paper: str = "Hinton et al. 2015, arXiv:1503.02531"

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """As `Loss.apply`."""
        return _distil_(logits_C_V, targets, settings, beta=0.0)


@dataclass(frozen=True, slots=True)
class ReverseKL:
    """KL(student || teacher): the student may leave out, but not invent."""

    name: str = "reverse_kl"
    signal: Signal = "weights"
    paper: str = "Gu et al. 2024, arXiv:2306.08543"

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """As `Loss.apply`."""
        return _distil_(logits_C_V, targets, settings, beta=1.0)


@dataclass(frozen=True, slots=True)
class GeneralizedJSD:
    """Jensen-Shannon divergence with the teacher weighted by beta, divided by beta (1 - beta)."""

    name: str = "jsd"
    signal: Signal = "weights"
    paper: str = "Agarwal et al. 2024, arXiv:2306.13649"

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """As `Loss.apply`."""
        return _distil_(logits_C_V, targets, settings, beta=settings.beta)


def _distil_(logits_C_V: Tensor, targets: Targets, settings: LossSettings, beta: float) -> Tensor:
    """mix T^2 D_beta(p, q) + (1 - mix) cross-entropy; the logits become the gradient of it."""
    assert targets.teacher_logits_N_V is not None
    soft, hard, heat = settings.mix, 1.0 - settings.mix, settings.temperature
    hard_grad_C_V = logits_C_V.clone() if hard else None
    hard_loss_C = None if hard_grad_C_V is None else cross_entropy_(hard_grad_C_V, targets.labels_N)
    log_p_C_V = targets.teacher_logits_N_V.div(heat).log_softmax(1)
    log_q_C_V = _log_softmax_(logits_C_V.div_(heat))
    loss_C = divergence_(log_q_C_V, log_p_C_V, beta)
    logits_C_V.mul_(soft * heat)
    if hard_grad_C_V is None or hard_loss_C is None:
        return heat**2 * loss_C
    logits_C_V.add_(hard_grad_C_V, alpha=hard)
    return soft * heat**2 * loss_C + hard * hard_loss_C


def _log_softmax_(logits_C_V: Tensor) -> Tensor:
    """The logits as log-probabilities, in place."""
    logits_C_V.sub_(logits_C_V.amax(1, keepdim=True))
    return logits_C_V.sub_(logits_C_V.exp().sum(1, keepdim=True).log_())


def divergence_(log_q_C_V: Tensor, log_p_C_V: Tensor, beta: float) -> Tensor:
    """D_beta of each row; `log_q_C_V` becomes its gradient with respect to the student's (heated) logits.

    Forward KL at beta = 0, reverse KL at beta = 1, scaled generalized JSD between.
    """
    if beta == 0.0:
        return _forward_kl_(log_q_C_V, log_p_C_V)
    if beta == 1.0:
        return _tilted_(log_q_C_V, log_q_C_V - log_p_C_V, 1.0)
    ahead_C_V = log_p_C_V - log_q_C_V
    log_q_over_m_C_V, log_p_over_m_C_V = _against_mixture(ahead_C_V, beta)
    teacher_part_C = (log_p_C_V.exp() * log_p_over_m_C_V).sum(1)
    student_part_C = _tilted_(log_q_C_V, log_q_over_m_C_V, 1.0 / beta)
    return teacher_part_C / (1.0 - beta) + student_part_C / beta


def _forward_kl_(log_q_C_V: Tensor, log_p_C_V: Tensor) -> Tensor:
    p_C_V = log_p_C_V.exp()
    loss_C = (p_C_V * (log_p_C_V - log_q_C_V)).sum(1)
    log_q_C_V.exp_().sub_(p_C_V)
    return loss_C


def _tilted_(log_q_C_V: Tensor, ratio_C_V: Tensor, scale: float) -> Tensor:
    """sum_j q_j r_j; `log_q_C_V` becomes scale q_j (r_j - that sum), its gradient where d(sum q r)/dr vanishes."""
    q_C_V = log_q_C_V.exp_()
    mean_C = (q_C_V * ratio_C_V).sum(1)
    q_C_V.mul_(ratio_C_V.sub_(mean_C[:, None])).mul_(scale)
    return mean_C


def _against_mixture(ahead_C_V: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """log q/m and log p/m for m = beta p + (1-beta) q, from log p/q; exact to rounding at either end of beta.

    The smaller weight goes into log1p(weight expm1(.)), so that nothing near zero is found as a difference of logs.
    """
    if beta <= 0.5:
        log_q_over_m_C_V = _log_mixture(ahead_C_V, beta).neg_()
        return log_q_over_m_C_V, ahead_C_V + log_q_over_m_C_V
    log_p_over_m_C_V = _log_mixture(-ahead_C_V, 1.0 - beta).neg_()
    return log_p_over_m_C_V - ahead_C_V, log_p_over_m_C_V


def _log_mixture(ahead_C_V: Tensor, weight: float) -> Tensor:
    """log(1 - weight + weight exp(ahead)); past e^20 the first form would overflow and the second is exact."""
    far_C_V = (ahead_C_V + log(weight)).logaddexp(ahead_C_V.new_tensor(log(1.0 - weight)))
    near_C_V = ahead_C_V.clamp(max=20.0).expm1_().mul_(weight).log1p_()
    return near_C_V.where(ahead_C_V <= 20.0, far_C_V)
