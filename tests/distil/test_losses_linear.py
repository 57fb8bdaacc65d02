"""The fused head and loss: who gets a gradient, in which dtype, and how much is ever held."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from spiritsafe.distil.loss import LossSettings, Targets
from spiritsafe.distil.losses import LOSSES
from spiritsafe.distil.losses.linear import Head, linear_loss

ROWS, WIDTH, VOCAB = 12, 6, 40
SEQUENCE = LOSSES.get("sequence")


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def labels(rows: int = ROWS) -> Targets:
    return Targets(torch.arange(rows) % VOCAB)


def test_the_loss_is_cross_entropy_of_the_linear_layer_with_its_bias() -> None:
    hidden, weight, bias = (one.requires_grad_() for one in (drawn(ROWS, WIDTH), drawn(VOCAB, WIDTH), drawn(VOCAB)))

    total, losses = linear_loss(Head(hidden, weight, bias), SEQUENCE, labels(), chunk_rows=5, scale=0.5)
    wanted = 0.5 * torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(hidden, weight, bias), labels().labels_N, reduction="sum"
    )

    torch.testing.assert_close(total, wanted)
    torch.testing.assert_close(losses.sum() * 0.5, wanted)
    for ours, theirs in zip(
        torch.autograd.grad(total, [hidden, weight, bias]),
        torch.autograd.grad(wanted, [hidden, weight, bias]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_what_follows_the_loss_scales_its_gradients() -> None:
    hidden, weight = drawn(ROWS, WIDTH).requires_grad_(), drawn(VOCAB, WIDTH).requires_grad_()

    def grads(factor: float) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(factor * linear_loss(Head(hidden, weight), SEQUENCE, labels())[0], [hidden, weight])

    for one, thrice in zip(grads(1.0), grads(3.0), strict=True):
        torch.testing.assert_close(thrice, 3 * one)


@pytest.mark.parametrize("learns", ["hidden", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_its_own(learns: str) -> None:
    parts = {"hidden": drawn(ROWS, WIDTH), "weight": drawn(VOCAB, WIDTH), "bias": drawn(VOCAB)}
    everything = [one.clone().requires_grad_() for one in parts.values()]
    all_grads = torch.autograd.grad(linear_loss(Head(*everything), SEQUENCE, labels())[0], everything)
    parts[learns].requires_grad_()

    linear_loss(Head(*parts.values()), SEQUENCE, labels())[0].backward()

    assert [name for name, one in parts.items() if one.grad is not None] == [learns]
    torch.testing.assert_close(parts[learns].grad, dict(zip(parts, all_grads, strict=True))[learns])


def test_a_tied_embedding_adds_up_the_gradients_of_both_its_uses() -> None:
    table = drawn(VOCAB, WIDTH).requires_grad_()
    ids = torch.arange(ROWS)

    total, _ = linear_loss(Head(table[ids].tanh(), table), SEQUENCE, labels(), chunk_rows=4)
    wanted = torch.nn.functional.cross_entropy(table[ids].tanh() @ table.T, labels().labels_N, reduction="sum")

    torch.testing.assert_close(*(torch.autograd.grad(one, table)[0] for one in (total, wanted)))


def test_the_softmax_of_bfloat16_states_is_taken_in_float32() -> None:
    hidden, weight = drawn(ROWS, WIDTH).bfloat16().requires_grad_(), drawn(VOCAB, WIDTH).bfloat16().requires_grad_()

    total, losses = linear_loss(Head(hidden, weight), SEQUENCE, labels(), chunk_rows=5)
    exact = torch.nn.functional.cross_entropy(
        hidden.detach().float() @ weight.detach().float().T, labels().labels_N, reduction="none"
    )

    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, exact)
    assert [one.dtype for one in torch.autograd.grad(total, [hidden, weight])] == [torch.bfloat16] * 2


def test_no_rows_are_no_loss() -> None:
    weight = drawn(VOCAB, WIDTH).requires_grad_()

    total, losses = linear_loss(Head(drawn(1, WIDTH)[:0].requires_grad_(), weight), SEQUENCE, labels(0))
    total.backward()

    assert (float(total.detach()), len(losses), float(weight.grad.abs().sum())) == (0.0, 0, 0.0)


class Largest(TorchDispatchMode):
    """Watches the number of elements of the largest tensor any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else (out,):
            if isinstance(one, torch.Tensor):
                self.elements = max(self.elements, one.numel())
        return out


@pytest.mark.parametrize("loss", LOSSES.builtin, ids=lambda one: one.name)
def test_nothing_larger_than_a_chunk_of_logits_or_the_weight_is_ever_made(loss) -> None:
    def largest(rows: int) -> int:
        hidden, weight = drawn(rows, WIDTH).requires_grad_(), drawn(VOCAB, WIDTH).requires_grad_()
        ids = torch.arange(rows)[:, None] % VOCAB
        targets = Targets(ids[:, 0], ids, torch.full((rows, 1), 0.5))
        with Largest() as watched:
            linear_loss(
                Head(hidden, weight),
                loss,
                targets,
                LossSettings(mix=0.5),
                teacher=Head(hidden.detach(), weight.detach()),
                chunk_rows=16,
            )[0].backward()
        return watched.elements

    assert largest(64) == 16 * VOCAB
    assert largest(100) == 16 * VOCAB  # 100 * WIDTH and VOCAB * WIDTH are less


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), chunk_rows=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_parts_of_a_batch_add_up_to_the_batch(sizes: list[int], chunk_rows: int) -> None:
    rows = sum(sizes)
    hidden, weight = drawn(rows, WIDTH).requires_grad_(), drawn(VOCAB, WIDTH).requires_grad_()
    whole = torch.autograd.grad(
        linear_loss(Head(hidden, weight), SEQUENCE, labels(rows), scale=1 / rows)[0], [hidden, weight]
    )

    start = 0
    for size in sizes:
        part = slice(start, start + size)
        targets = Targets(labels(rows).labels_N[part])
        linear_loss(Head(hidden[part], weight), SEQUENCE, targets, chunk_rows=chunk_rows, scale=1 / rows)[0].backward()
        start += size

    torch.testing.assert_close(hidden.grad, whole[0])
    torch.testing.assert_close(weight.grad, whole[1])
