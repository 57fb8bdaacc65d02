"""Losses: the promises of checks/loss.py for every one, and each against its formula written out."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spiritsafe.checks.loss import PROMISES, check_loss, random_logits, targets_of
from spiritsafe.distil.loss import LossSettings, Targets
from spiritsafe.distil.losses import LOSSES
from spiritsafe.errors import InputError

PLAIN = LossSettings()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("loss", LOSSES.builtin, ids=lambda one: one.name)
def test_every_loss_keeps_every_promise(loss, promise) -> None:
    promise(loss)


class Halved:
    """A loss whose gradient is half of what it should be."""

    name, signal, paper = "halved", "text", ""

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        losses = LOSSES.get("sequence").apply(logits_C_V, targets, settings)
        logits_C_V.mul_(0.5)
        return losses


class Renormalised:
    """Top-k KL with the teacher renormalised over its top k: the bias the tail bucket is there to avoid."""

    name, signal, paper = "renormalised", "logprobs", ""

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        over_k = targets.top_probs_N_K / targets.top_probs_N_K.sum(1, keepdim=True)
        return LOSSES.get("topk_forward_kl").apply(logits_C_V, replace(targets, top_probs_N_K=over_k), settings)


@pytest.mark.parametrize("wrong", [Halved(), Renormalised()], ids=lambda one: one.name)
def test_the_promises_catch_a_wrong_loss(wrong) -> None:
    with pytest.raises(AssertionError, match=wrong.name):
        check_loss(wrong)


def test_an_unknown_loss_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown loss 'mse'; known: sequence, topk_forward_kl, forward_kl"):
        LOSSES.get("mse")


def value_and_gradient(name: str, logits: Tensor, targets: Targets, how: LossSettings) -> tuple[Tensor, Tensor]:
    overwritten = logits.clone()
    losses = LOSSES.get(name).apply(overwritten, targets, how)
    return losses, overwritten


def written_out(formula, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and gradient of a formula of the logits, by autograd."""
    leaf = logits.clone().requires_grad_()
    losses = formula(leaf)
    return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p.xlogy(p) - p * q.log()).sum(1)


def cross_entropy(z: Tensor, targets: Targets) -> Tensor:
    return torch.nn.functional.cross_entropy(z, targets.labels_N, reduction="none")


def tail_formula(z: Tensor, targets: Targets) -> Tensor:
    p = torch.cat([targets.top_probs_N_K, 1 - targets.top_probs_N_K.sum(1, keepdim=True)], 1)
    q_K = z.softmax(1).gather(1, targets.top_ids_N_K)
    return kl(p, torch.cat([q_K, 1 - q_K.sum(1, keepdim=True)], 1))


def jsd_formula(z: Tensor, targets: Targets, beta: float, heat: float) -> Tensor:
    p, q = (targets.teacher_logits_N_V / heat).softmax(1), (z / heat).softmax(1)
    m = beta * p + (1 - beta) * q
    return heat**2 * (beta * kl(p, m) + (1 - beta) * kl(q, m)) / (beta * (1 - beta))


FORMULAS = {
    "sequence": lambda z, t, how: cross_entropy(z, t),
    "topk_forward_kl": lambda z, t, how: tail_formula(z, t),
    "forward_kl": lambda z, t, how: (
        how.temperature**2 * kl((t.teacher_logits_N_V / how.temperature).softmax(1), (z / how.temperature).softmax(1))
    ),
    "reverse_kl": lambda z, t, how: (
        how.temperature**2 * kl((z / how.temperature).softmax(1), (t.teacher_logits_N_V / how.temperature).softmax(1))
    ),
    "jsd": lambda z, t, how: jsd_formula(z, t, how.beta, how.temperature),
}


@pytest.mark.parametrize("name", FORMULAS)
@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(0.1, 6.0),
    mix=st.sampled_from([0.0, 0.25, 1.0]),
    beta=st.floats(0.05, 0.95),
    heat=st.sampled_from([0.5, 1.0, 3.0]),
)
@settings(max_examples=25, deadline=None)
def test_value_and_gradient_are_those_of_the_formula(
    name: str, seed: int, spread: float, mix: float, beta: float, heat: float
) -> None:
    loss = LOSSES.get(name)
    how = LossSettings(mix, beta, heat if loss.signal == "weights" else 1.0)
    logits, targets = random_logits(seed, spread=spread), targets_of(loss, random_logits(seed + 1, spread=spread))

    losses, gradient = value_and_gradient(name, logits, targets, how)
    wanted, wanted_gradient = written_out(
        lambda z: mix * FORMULAS[name](z, targets, how) + (1 - mix) * cross_entropy(z, targets), logits
    )

    torch.testing.assert_close(losses, wanted, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-7, atol=1e-8)


def test_the_tail_bucket_leaves_the_gradient_of_the_tail_alone_where_only_its_sum_is_known() -> None:
    logits = random_logits(3)
    targets = targets_of(LOSSES.get("topk_forward_kl"), random_logits(4))

    _, gradient = value_and_gradient("topk_forward_kl", logits, targets, PLAIN)

    q = logits.softmax(1)
    in_tail = torch.ones_like(q, dtype=torch.bool).scatter_(1, targets.top_ids_N_K, False)
    push = (gradient / q).where(in_tail, torch.nan)
    assert torch.allclose(push.nan_to_num(-torch.inf).amax(1), push.nan_to_num(torch.inf).amin(1))


@given(seed=st.integers(0, 1000), k=st.integers(1, 22))
@settings(max_examples=30, deadline=None)
def test_top_k_kl_grows_with_k_towards_the_full_kl(seed: int, k: int) -> None:
    logits, teacher = random_logits(seed), random_logits(seed + 7)
    probs, ids = teacher.softmax(1).sort(1, descending=True)

    def of(width: int) -> Tensor:
        targets = Targets(ids[:, 0], ids[:, :width], probs[:, :width])
        return LOSSES.get("topk_forward_kl").apply(logits.clone(), targets, PLAIN)

    full = kl(teacher.softmax(1), logits.softmax(1))
    assert (of(k) <= of(k + 1) + 1e-9).all()
    assert (of(k + 1) <= full + 1e-9).all()
    torch.testing.assert_close(of(23), full)


def test_a_tail_too_small_for_float32_arithmetic_is_still_told_apart() -> None:
    # 1 - q rounds to 0 in float32 for both students; their tails are e^-20 and e^-40.
    targets = Targets(torch.tensor([0]), torch.tensor([[0]]), torch.tensor([[0.5]]))

    near, far = (
        float(LOSSES.get("topk_forward_kl").apply(torch.tensor([[0.0, -gap, -1000.0]]), targets, PLAIN)[0])
        for gap in (20.0, 40.0)
    )

    assert far - near == pytest.approx(10.0, rel=1e-4)


def test_absent_alternatives_count_for_nothing() -> None:
    loss = LOSSES.get("topk_forward_kl")
    logits = random_logits(5)
    full = targets_of(loss, random_logits(6))
    narrow = Targets(full.labels_N, full.top_ids_N_K[:, :2], full.top_probs_N_K[:, :2])
    absent = torch.tensor([False, False, True, True])
    padded = Targets(
        full.labels_N, full.top_ids_N_K.masked_fill(absent, -1), full.top_probs_N_K.masked_fill(absent, 0.0)
    )

    for how in (PLAIN, LossSettings(mix=0.4)):
        for one, other in zip(
            value_and_gradient(loss.name, logits, narrow, how),
            value_and_gradient(loss.name, logits, padded, how),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


def test_a_row_without_log_probabilities_learns_by_cross_entropy() -> None:
    logits = random_logits(8)
    labels = torch.arange(7)
    certain = Targets(labels, torch.stack([labels, torch.full_like(labels, -1)], 1), torch.tensor([[1.0, 0.0]] * 7))

    for mix in (1.0, 0.3):
        soft = value_and_gradient("topk_forward_kl", logits, certain, LossSettings(mix))
        hard = value_and_gradient("sequence", logits, certain, PLAIN)

        torch.testing.assert_close(soft[0], hard[0])
        torch.testing.assert_close(soft[1], hard[1])


def test_with_certain_probabilities_the_label_itself_may_lie_in_the_tail() -> None:
    targets = Targets(torch.tensor([2]), torch.tensor([[0, 1]]), torch.tensor([[0.6, 0.3]]))
    logits = torch.tensor([[1.0, 0.5, -1.0, 0.2]], dtype=torch.float64)

    losses, gradient = value_and_gradient("topk_forward_kl", logits, targets, LossSettings(mix=0.5))
    wanted, wanted_gradient = written_out(
        lambda z: 0.5 * tail_formula(z, targets) + 0.5 * cross_entropy(z, targets), logits
    )

    torch.testing.assert_close(losses, wanted)
    torch.testing.assert_close(gradient, wanted_gradient)


@pytest.mark.parametrize(("beta", "limit"), [(1e-4, "forward_kl"), (1 - 1e-4, "reverse_kl")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jsd_runs_into_forward_and_reverse_kl_at_its_ends(beta: float, limit: str, dtype: torch.dtype) -> None:
    # The next term of the expansion is of relative size beta times a few nats; float32 must not add noise of 1/beta.
    logits, targets = (
        random_logits(1, dtype, spread=1.0),
        targets_of(LOSSES.get("jsd"), random_logits(2, dtype, spread=1.0)),
    )

    near, slope = value_and_gradient("jsd", logits, targets, LossSettings(beta=beta))
    exact, exact_slope = value_and_gradient(limit, logits, targets, PLAIN)

    torch.testing.assert_close(near, exact, rtol=5e-3, atol=1e-4)
    torch.testing.assert_close(slope, exact_slope, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(("beta", "limit"), [(0.0, "forward_kl"), (1.0, "reverse_kl")])
def test_jsd_at_its_ends_is_forward_and_reverse_kl(beta: float, limit: str) -> None:
    logits, targets = random_logits(1), targets_of(LOSSES.get("jsd"), random_logits(2))

    assert torch.equal(
        value_and_gradient("jsd", logits, targets, LossSettings(beta=beta))[1],
        value_and_gradient(limit, logits, targets, PLAIN)[1],
    )


def test_jsd_in_the_middle_is_four_times_the_ordinary_one() -> None:
    logits, teacher = random_logits(1), random_logits(2)
    p, q = teacher.softmax(1), logits.softmax(1)
    m = (p + q) / 2

    losses, _ = value_and_gradient("jsd", logits, targets_of(LOSSES.get("jsd"), teacher), LossSettings(beta=0.5))

    torch.testing.assert_close(losses, 4 * (kl(p, m) + kl(q, m)) / 2)


def test_swapping_student_and_teacher_mirrors_beta() -> None:
    one, other = random_logits(1), random_logits(2)
    jsd = LOSSES.get("jsd")

    forward = jsd.apply(one.clone(), targets_of(jsd, other), LossSettings(beta=0.2))
    backward = jsd.apply(other.clone(), targets_of(jsd, one), LossSettings(beta=0.8))

    torch.testing.assert_close(forward, backward)


def test_the_teachers_logits_are_left_as_they_were() -> None:
    for loss in LOSSES:
        if loss.signal == "weights":
            teacher = random_logits(2)
            loss.apply(random_logits(1), targets_of(loss, teacher), LossSettings(temperature=2.0))
            assert torch.equal(teacher, random_logits(2))
