"""Findings: one function a thing that can be wrong with rows before training. Pure.

Each says what it found, what was wanted, whether that is enough (None: noted, nothing to pass) and what to do if not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from spiritsafe.distil.loss import Signal
from spiritsafe.distil.memory import MemoryNeed
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.rows import TokenRow, student_messages, trainable
from spiritsafe.distil.student import pad_id_of
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.wire.think import CLOSE, OPEN

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for.

    Attributes:
        name: what was looked at.
        found, wanted: in words, with numbers.
        passed: whether what was found will do; None where it is only noted.
        advice: what to do if it will not.
    """

    name: str
    found: str
    wanted: str
    passed: bool | None
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """Rows as they were collected and as they are trained on, place for place, with their template and recipe."""

    rows: Sequence[CollectedRow]
    tokens: Sequence[TokenRow]
    template: ChatTemplate
    recipe: Recipe

    @property
    def whole(self) -> list[tuple[CollectedRow, TokenRow]]:
        """The pairs whose row is not too long."""
        return [pair for pair in zip(self.rows, self.tokens, strict=True) if not pair[1].truncated]


def rows_as_they_are(seen: Inspected) -> Finding:
    """How many rows and tokens there are."""
    lengths = sorted(len(row.ids) for row in seen.tokens)
    supervised = sum(row.supervised for row in seen.tokens)
    total = sum(lengths)
    return Finding(
        "rows",
        f"{len(lengths):,} rows, {total:,} tokens, {supervised:,} of them supervised ({supervised / total:.0%}); "
        f"a row has {lengths[len(lengths) // 2]:,} tokens at the median and {lengths[-1]:,} at most",
        "any",
        None,
    )


def budgets_are_met(seen: Inspected, signal: Signal) -> Finding:
    """Whether every budget has rows of its own, and as many as it says.

    With too few, two budgets would train the same student, which fails; else a student learns from fewer rows than its
    budget, which is noted.
    """
    kept = len(seen.rows)
    budgets = seen.recipe.budgets or (kept,)
    usable = [len(trainable(seen.tokens[:budget], signal)) for budget in budgets]
    passed: bool | None = True
    problem = ""
    if usable[0] == 0:
        passed, problem = False, f"none of the first {budgets[0]:,} exchanges can be trained on"
    elif len(set(usable)) < len(usable):
        passed, problem = False, "two budgets would train the same student"
    elif seen.recipe.budgets and usable != list(budgets):
        passed, problem = None, "a student will learn from fewer rows than its budget"
    advice = "collect more prompts, loosen the cuts, lower `budgets`, or mend what other findings say keeps rows out"
    return Finding(
        "rows for each budget",
        ", ".join(f"{count:,} of {budget:,}" for count, budget in zip(usable, budgets, strict=True)),
        "as many as the budget, and more than for the one before",
        passed,
        f"{problem}; {kept:,} exchanges were kept: {advice}" if problem else "",
    )


def rows_are_whole(seen: Inspected) -> Finding:
    """How many rows are too long. They are left out, since a cut row has lost its stop token."""
    most = seen.recipe.check.truncated_share
    return _share(
        "rows over max_length",
        seen.tokens,
        lambda row: row.truncated,
        f"at most {most:.1%}",
        lambda share: share <= most,
        f"raise train.max_length above {seen.recipe.train.max_length} or cut long answers in curation",
    )


def rows_have_something_to_learn(seen: Inspected) -> Finding:
    """How many rows have an empty answer, and so nothing but the stop token to learn."""
    return _share(
        "rows with an empty answer",
        seen.tokens,
        lambda row: row.supervised <= 1,
        "none",
        lambda share: share == 0,
        "add the curator 'empty' to `curate`",
    )


def rows_end_with_the_stop_token(seen: Inspected) -> Finding:
    """Whether the last supervised token stops generation, and no other does."""
    least, stop_id = seen.recipe.check.stop_token_share, seen.template.stop_id
    stop = seen.template.decode([stop_id])
    return _share(
        "rows whose last supervised token, and no other, is the stop token",
        [row for _, row in seen.whole],
        lambda row: int(row.ids[-1]) == stop_id and stop_id not in row.ids[row.start : -1],
        f"at least {least:.1%}",
        lambda share: share >= least,
        f"an answer holds the text {stop!r} itself: cut such answers in curation",
    )


def prompts_carry_no_loss(seen: Inspected) -> Finding:
    """Whether what comes before the supervised tokens is, id for id, what generation will be given."""
    return _share(
        "rows that start as generation will",
        seen.whole,
        lambda pair: _starts_as_asked(pair, seen),
        "all",
        lambda share: share == 1,
        "the chat template writes prompts otherwise when an answer follows: take a tokenizer with another template",
    )


def _starts_as_asked(pair: tuple[CollectedRow, TokenRow], seen: Inspected) -> bool:
    row, tokens = pair
    asked = seen.template.encode(seen.template.prompt(student_messages(row.prompt.messages, seen.recipe.student)))
    return bool(np.array_equal(tokens.ids[: tokens.start], asked))


def answers_come_back(seen: Inspected) -> Finding:
    """Whether the supervised ids are the teacher's answer and the stop token, character for character."""
    return _share(
        "rows whose answer comes back from its ids",
        seen.whole,
        lambda pair: _comes_back(pair, seen),
        "all",
        lambda share: share == 1,
        "the tokenizer does not keep text as it is (unknown characters, cleaned-up spaces), or the chat template puts "
        "words of its own before an answer: take another student, or normalise answers in curation",
    )


def _comes_back(pair: tuple[CollectedRow, TokenRow], seen: Inspected) -> bool:
    """Whether nothing but what ends thinking, or the thinking that is learned, comes before answer and stop token."""
    row, tokens = pair
    text = seen.template.decode(tokens.ids[tokens.start :])
    answer = row.exchange.answer + seen.template.decode([seen.template.stop_id])
    if not text.endswith(answer):
        return False
    lead = text[: len(text) - len(answer)]
    if seen.recipe.student.think == "keep" and row.exchange.reasoning is not None:
        return lead.strip().removeprefix(OPEN).removesuffix(CLOSE).strip() == row.exchange.reasoning.strip()
    return lead in ("", seen.template.lead, f"{CLOSE}\n\n")


def think_tags_as_asked(seen: Inspected) -> Finding:
    """Whether the student learns to think exactly where the recipe says so and the teacher did."""
    keep = seen.recipe.student.think == "keep"
    reasoned = sum(row.exchange.reasoning is not None for row, _ in seen.whole)
    return _share(
        f"rows with think tags as student.think = '{seen.recipe.student.think}' asks ({reasoned:,} have reasoning)",
        seen.whole,
        lambda pair: _thinks(pair[1], seen.template) == (keep and pair[0].exchange.reasoning is not None),
        "all",
        lambda share: share == 1,
        "answers hold think tags of their own: set student.think = 'keep', or cut them in curation",
    )


def _thinks(row: TokenRow, template: ChatTemplate) -> bool:
    """Whether thinking is supervised. A closing tag at once only ends what the prompt opened."""
    text = template.decode(row.ids[row.start :])
    return OPEN in text or CLOSE in text.removeprefix(CLOSE)


def padding_is_not_the_stop_token(seen: Inspected) -> Finding:
    """The trap where hiding padding from the loss hides the stop token too; here positions decide, so it is noted."""
    pad_id = pad_id_of(seen.template.tokenizer, seen.template.stop_id)
    same = pad_id == seen.template.stop_id
    return Finding(
        "padding token",
        f"{seen.template.decode([pad_id])!r}, {'the' if same else 'not the'} stop token",
        "not the stop token",
        None if same else True,
        "training here knows padding by position; other tools may not: give the tokenizer a pad token",
    )


def ids_mean_the_same(seen: Inspected, signal: Signal) -> Finding:
    """Whether the teacher's ids, read by the student's tokenizer, are the teacher's answers."""
    if signal == "weights":
        return _answers_align(seen)
    with_ids = [row for row in seen.rows if row.exchange.logprobs is not None and row.exchange.logprobs.has_ids]
    verified: set[int] = set()
    other = sum(not _reads_the_same(row, seen.template, verified) for row in with_ids)
    usable = sum(row.top is not None for row in seen.tokens)
    return Finding(
        "log-probabilities over the student's ids",
        f"{len(with_ids):,} of {len(seen.rows):,} rows have ids, {other:,} of them read as another answer; "
        f"{len(verified):,} distinct ids verified; {usable:,} rows usable, the rest by their tokens alone"
        + _reasons(seen.tokens),
        "at least one row usable, and no row that reads as another answer",
        usable > 0 and other == 0,
        "the teacher's tokenizer is not the student's or gives no ids: use loss 'sequence' or a student of its family",
    )


def _answers_align(seen: Inspected) -> Finding:
    usable = sum(not row.without_signal for row in seen.tokens)
    return Finding(
        "answers in the same tokens on both sides",
        f"{usable:,} of {len(seen.tokens):,} rows{_reasons(seen.tokens)}",
        "at least one row",
        usable > 0,
        "the chat templates of teacher and student make different tokens of an answer: use loss 'sequence'",
    )


def _reads_the_same(row: CollectedRow, template: ChatTemplate, verified: set[int]) -> bool:
    """Whether the chosen ids decode to the answer; a special token at the end is the teacher's stop.

    Those that do are added to `verified`; a stop token is not, since the answer does not show what it means.
    """
    assert row.exchange.logprobs is not None
    chosen = list(unpack(row.exchange.logprobs).chosen_ids)
    if any(one >= template.vocab for one in chosen):
        return False
    body = next((ids for ids in (chosen, chosen[:-1]) if template.decode(ids) == row.exchange.answer), None)
    verified.update(body or ())
    return body is not None


def _reasons(rows: Iterable[TokenRow]) -> str:
    counts = Counter(row.without_signal for row in rows if row.without_signal)
    return "".join(f"; {count:,} because {reason}" for reason, count in counts.most_common())


def memory_suffices(need: MemoryNeed, available: float | None) -> Finding:
    """Whether training fits."""
    parts = f"weights {need.weights / 1e9:.2f}, learning {need.learning / 1e9:.2f}, head {need.head / 1e9:.2f}, "
    return Finding(
        "memory",
        f"about {need.total / 1e9:.1f} GB ({parts}activations {need.activations / 1e9:.2f})",
        "no more than there is" if available is None else f"at most {available / 1e9:.1f} GB",
        None if available is None else need.total <= available,
        "lower train.micro_batch_tokens or train.vocab_chunk_rows, use train.lora, or take a smaller student",
    )


def _share(
    name: str,
    among: Sequence[T],
    holds: Callable[[T], bool],
    wanted: str,
    enough: Callable[[float], bool],
    advice: str,
) -> Finding:
    count = sum(holds(one) for one in among)
    share = count / len(among) if among else 0.0
    return Finding(name, f"{count:,} of {len(among):,} ({share:.1%})", wanted, enough(share), advice)
