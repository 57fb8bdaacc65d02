"""Training: gradients that do not depend on how a batch is split, runs that repeat bit by bit, and honest refusals."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spiritsafe.distil.batches import collate, micro_batches, share_of, steps_of
from spiritsafe.distil.heads import hidden_states, require_linear_head
from spiritsafe.distil.optim import adamw, learning_rate_at
from spiritsafe.distil.recipe import Lora, Train
from spiritsafe.distil.rows import TokenRow, TopProbs
from spiritsafe.distil.student import with_lora
from spiritsafe.distil.train import Learner, fit, loss_of
from spiritsafe.errors import InputError, StoreError

VOCAB = 400
ANSWERS = ("Paris", "Oslo is the capital of Norway.", "12", "The user asks and the assistant answers, please.", "no")


@pytest.fixture(scope="module")
def rows(tokenizer: Any) -> list[TokenRow]:
    """Ten rows of different lengths, with made-up probabilities and a longer view for a local teacher."""
    return [row_of(number, tokenizer) for number in range(10)]


def row_of(number: int, tokenizer: Any) -> TokenRow:
    prompt = tokenizer.encode(f"<|im_start|>user\n{'What? ' * (number % 4)}<|im_end|>\n", add_special_tokens=False)
    answer = [*tokenizer.encode(ANSWERS[number % 5], add_special_tokens=False), tokenizer.eos_token_id]
    draw = np.random.default_rng(number)
    others = np.stack([draw.permutation(VOCAB)[:4] for _ in answer])
    ids = np.where(others == np.asarray(answer)[:, None], (others + 1) % VOCAB, others)
    ids[:, 0] = answer
    probs = np.tile(np.asarray([0.6, 0.2, 0.1, 0.05], np.float32), (len(answer), 1))
    seen = np.asarray([1, 5, 6, *prompt, *answer], np.int32)
    return TokenRow(
        exchange=str(number),
        ids=np.asarray(prompt + answer, np.int32),
        start=len(prompt),
        top=TopProbs(ids.astype(np.int32), probs),
        teacher_ids=seen,
        teacher_start=len(prompt) + 3,
    )


def gradients(model: Any) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def gradients_of(model: Any, tokenizer: Any, groups: list[list[TokenRow]], how: Train, teacher: Any = None) -> Any:
    """Gradients of one batch worked off in `groups`, and its loss."""
    model.zero_grad()
    learner = Learner(model, tokenizer, how, teacher)
    supervised = sum(row.supervised for group in groups for row in group)
    loss = sum(learner.learn(group, 1.0 / supervised) for group in groups)
    return gradients(model), loss


@given(cuts=st.lists(st.integers(1, 9), max_size=4), order=st.permutations(range(10)))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("loss", ["sequence", "topk_forward_kl", "forward_kl", "reverse_kl", "jsd"])
def test_gradients_are_the_same_for_any_split_of_a_batch(
    tokenizer, new_model, rows, loss: str, cuts: list[int], order: list[int]
) -> None:
    how = Train(loss=loss, mix=0.7, vocab_chunk_rows=16)
    model, teacher = new_model(VOCAB, layers=1), new_model(VOCAB, seed=1, layers=1)
    edges = [0, *sorted(set(cuts)), 10]
    groups = [[rows[order[at]] for at in range(a, b)] for a, b in pairwise(edges)]

    whole, loss_whole = gradients_of(model, tokenizer, [rows], how, teacher)
    split, loss_split = gradients_of(model, tokenizer, groups, how, teacher)

    assert loss_split == pytest.approx(loss_whole, rel=1e-6)
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_over_supervised_tokens_of_the_models_own_logits(tokenizer, new_model, rows) -> None:
    model = new_model(VOCAB)

    _, loss = gradients_of(model, tokenizer, [rows[:5], rows[5:]], Train())

    with torch.no_grad():
        sums = [
            torch.nn.functional.cross_entropy(
                model(torch.from_numpy(row.ids[None].astype(np.int64))).logits[0, row.start - 1 : -1],
                torch.from_numpy(row.ids[row.start :].astype(np.int64)),
                reduction="sum",
            )
            for row in rows
        ]
    assert loss == pytest.approx(float(sum(sums)) / sum(row.supervised for row in rows), rel=1e-5)


def test_padding_changes_nothing_even_when_the_stop_token_pads(tokenizer, new_model, rows) -> None:
    model = new_model(VOCAB)
    longest = max(rows, key=lambda row: len(row.ids))
    shortest = min(rows, key=lambda row: len(row.ids))
    padded = collate([longest, shortest], tokenizer.eos_token_id)

    with torch.no_grad():
        together = hidden_states(model, padded.ids_B_L)[1, : len(shortest.ids)]
        alone = hidden_states(model, torch.from_numpy(shortest.ids[None].astype(np.int64)))[0]

    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert padded.targets.labels_N.tolist() == [*longest.ids[longest.start :], *shortest.ids[shortest.start :]]


def test_ids_that_only_pad_the_vocabulary_never_learn(tokenizer, new_model, rows) -> None:
    model = new_model(VOCAB + 8, tied=False)
    before = model.lm_head.weight[VOCAB:].clone()

    fit(model, tokenizer, rows, Train(epochs=1, weight_decay=0.0))

    assert torch.equal(model.lm_head.weight[VOCAB:], before)


def trained(
    model: Any, tokenizer: Any, rows: list[TokenRow], how: Train, **more: Any
) -> tuple[Any, list[torch.Tensor]]:
    summary = fit(model, tokenizer, rows, how, **more)
    return summary, [parameter.detach().clone() for parameter in model.parameters()]


def assert_same(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_learns_and_says_what_it_took(tokenizer, new_model, rows) -> None:
    said: list[Any] = []

    summary = fit(
        new_model(VOCAB), tokenizer, rows, Train(epochs=6, batch_size=4, learning_rate=1e-2), on_progress=said.append
    )

    assert summary.last_loss < 0.5 * summary.first_loss
    assert (summary.rows, summary.steps, summary.epochs) == (10, 18, 6)
    assert summary.tokens == 6 * sum(len(row.ids) for row in rows)
    assert summary.supervised_tokens == 6 * sum(row.supervised for row in rows)
    assert len(summary.loss_curve) == 18
    assert [one.step for one in said] == list(range(1, 19))
    assert said[-1].eta_s == 0
    assert summary.to_json() == type(summary).from_json(summary.to_json()).to_json()


@pytest.mark.parametrize("lora", [None, Lora(rank=4, dropout=0.3)], ids=["full", "lora"])
def test_a_seed_gives_the_same_weights_again_and_another_seed_others(tokenizer, new_model, rows, lora) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        how = Train(epochs=2, batch_size=3, seed=seed, lora=lora, learning_rate=1e-3)
        model = new_model(VOCAB)
        return trained(with_lora(model, lora, seed) if lora else model, tokenizer, rows, how)[1]

    first = weights(3)

    assert_same(first, weights(3))
    assert any(not torch.equal(a, b) for a, b in zip(first, weights(4), strict=True))


class Pulled(Exception):
    """The plug."""


@pytest.mark.parametrize("lora", [None, Lora(rank=4, dropout=0.3)], ids=["full", "lora"])
@pytest.mark.parametrize("at", [1, 4, 7])
def test_an_interrupted_run_ends_with_bit_identical_weights(
    tokenizer, new_model, rows, tmp_path, lora: Lora | None, at: int
) -> None:
    how = Train(epochs=2, batch_size=3, learning_rate=1e-3, lora=lora, checkpoint_every_s=1e-9)

    def student() -> Any:
        return with_lora(new_model(VOCAB), lora, 0) if lora else new_model(VOCAB)

    def pull_the_plug(progress: Any) -> None:
        if progress.step == at:
            raise Pulled

    state = tmp_path / "state.pt"
    whole, uninterrupted = trained(student(), tokenizer, rows, how)
    with pytest.raises(Pulled):
        fit(student(), tokenizer, rows, how, resume=state, fingerprint="a", on_progress=pull_the_plug)
    summary, resumed = trained(student(), tokenizer, rows, how, resume=state, fingerprint="a")

    assert summary.resumed_at == at
    assert summary.loss_curve == whole.loss_curve
    assert_same(uninterrupted, resumed)


def test_a_checkpoint_of_another_run_is_not_used(tokenizer, new_model, rows, tmp_path) -> None:
    how = Train(epochs=1, batch_size=3, checkpoint_every_s=1e-9)
    fit(new_model(VOCAB), tokenizer, rows, how, resume=tmp_path / "state.pt", fingerprint="a")
    assert (tmp_path / "state.pt").exists()

    assert fit(new_model(VOCAB), tokenizer, rows, how, resume=tmp_path / "state.pt", fingerprint="b").resumed_at == 0


def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(tokenizer, new_model, rows, tmp_path) -> None:
    (tmp_path / "state.pt").write_bytes(b"not a checkpoint")

    with pytest.raises(StoreError, match="delete it to train from the start"):
        fit(new_model(VOCAB), tokenizer, rows, Train(), resume=tmp_path / "state.pt")


def test_checkpoints_come_at_the_asked_pace(tokenizer, new_model, rows, tmp_path) -> None:
    now, state = iter(range(10_000)), tmp_path / "state.pt"
    seen: list[bool] = []

    fit(
        new_model(VOCAB),
        tokenizer,
        rows,
        Train(epochs=4, batch_size=5, checkpoint_every_s=1e6),
        resume=state,
        clock=lambda: float(next(now)),
        on_progress=lambda progress: seen.append(state.exists()),
    )

    assert seen == [False] * 8


def test_a_local_teacher_is_learned_from_through_its_own_prompt(tokenizer, new_model, rows) -> None:
    teacher = new_model(VOCAB, seed=5, width=48)
    how = Train(loss="forward_kl", epochs=8, batch_size=5, learning_rate=3e-3)

    summary = fit(new_model(VOCAB), tokenizer, rows, how, teacher=teacher)

    assert summary.last_loss < 0.7 * summary.first_loss


def test_a_student_that_is_the_teacher_has_nothing_to_learn(tokenizer, new_model, rows) -> None:
    same = [TokenRow(row.exchange, row.ids, row.start, teacher_ids=row.ids, teacher_start=row.start) for row in rows]
    for loss in ("forward_kl", "reverse_kl", "jsd"):
        model = new_model(VOCAB)
        grads, value = gradients_of(model, tokenizer, [same], Train(loss=loss), new_model(VOCAB))
        assert value == pytest.approx(0, abs=1e-6)
        assert max(float(grad.abs().max()) for grad in grads) < 1e-5


def test_adapters_learn_and_the_rest_stays(tokenizer, new_model, rows) -> None:
    model = with_lora(new_model(VOCAB), Lora(rank=2), 0)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}

    summary = fit(model, tokenizer, rows, Train(epochs=4, learning_rate=1e-2))

    assert summary.last_loss < summary.first_loss
    assert summary.trained_parameters < summary.parameters / 5
    assert_same(list(frozen.values()), [p for p in model.parameters() if not p.requires_grad])


def test_a_target_that_no_layer_has_is_refused(new_model) -> None:
    with pytest.raises(InputError, match=r"train\.lora\.target: got \['nothing'\], wanted names of linear layers"):
        with_lora(new_model(VOCAB), Lora(target=("nothing",)), 0)


@pytest.mark.parametrize("loss", ["sequence", "topk_forward_kl"])
def test_served_probabilities_are_not_softened(loss: str) -> None:
    with pytest.raises(InputError, match=r"train\.temperature: got 2\.0 .*, wanted 1\.0"):
        loss_of(Train(loss=loss, temperature=2.0))


def test_a_loss_over_the_teachers_weights_needs_a_local_teacher(tokenizer, new_model, rows) -> None:
    with pytest.raises(InputError, match=r"needs the teacher's weights; set teacher\.endpoint to 'local'"):
        fit(new_model(VOCAB), tokenizer, rows, Train(loss="jsd"))


def test_a_head_that_caps_its_logits_is_refused(new_model) -> None:
    model = new_model(VOCAB)
    inner = model.forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        out = inner(*args, **kwargs)
        out.logits = 0.3 * torch.tanh(out.logits / 0.3)
        return out

    model.forward = capped
    with pytest.raises(InputError, match="changes its logits after the head"):
        require_linear_head(model)


def test_every_epoch_sees_every_row_once_in_another_order() -> None:
    steps = steps_of(rows=10, batch_size=4, epochs=3, seed=1)

    epochs = [list(chain.from_iterable(steps[3 * epoch : 3 * epoch + 3])) for epoch in range(3)]
    assert [len(step) for step in steps] == [4, 4, 2] * 3
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert steps == steps_of(rows=10, batch_size=4, epochs=3, seed=1)
    assert steps != steps_of(rows=10, batch_size=4, epochs=3, seed=2)


@given(lengths=st.lists(st.integers(2, 60), min_size=1, max_size=20), most=st.integers(1, 130), world=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_micro_batches_hold_every_row_once_within_the_limit(lengths: list[int], most: int, world: int) -> None:
    rows = [TokenRow(str(number), np.zeros(length, np.int32), 1) for number, length in enumerate(lengths)]

    shares = [share_of(rows, rank, world) for rank in range(world)]
    groups = [group for share in shares for group in micro_batches(share, most)]

    assert sorted(row.exchange for group in groups for row in group) == sorted(row.exchange for row in rows)
    assert all(len(group) == 1 or len(group) * max(len(row.ids) for row in group) <= most for group in groups)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(steps=st.integers(1, 200), warmup=st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
def test_the_learning_rate_rises_then_falls_and_is_never_zero(steps: int, warmup: float) -> None:
    how = Train(learning_rate=0.5, warmup_share=warmup)

    rates = [learning_rate_at(step, steps, how) for step in range(steps)]

    peak = rates.index(max(rates))
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_only_matrices_decay(new_model) -> None:
    groups = adamw(new_model(VOCAB).parameters(), Train(weight_decay=0.1)).param_groups

    assert [(group["weight_decay"], {p.ndim for p in group["params"]}) for group in groups] == [(0.1, {2}), (0.0, {1})]
