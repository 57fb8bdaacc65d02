"""Rows: kept exchanges as the token ids a student trains on, with what is supervised and the teacher's probabilities.

Input: collected rows, the student's chat template, its recipe section. Output: one `TokenRow` a collected row.
Supervised are the answer's tokens and the stop token: never the prompt, never the newline that templates put after it.

A row that is longer than `max_length` is marked and not cut: a cut row has lost its stop token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.distil.loss import Signal
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Student
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.exchanges.logprobs import Unpacked, unpack
from spiritsafe.exchanges.record import Message, TokenLogprobs


@dataclass(frozen=True, slots=True)
class TopProbs:
    """The teacher's likeliest tokens at the S supervised positions of a row, as `Targets` wants them.

    Attributes:
        ids_S_K: token ids, -1 where there are fewer than K; the first of a row is always there.
        probs_S_K: their probabilities; a position the teacher gave none for holds its own token with probability 1.
    """

    ids_S_K: NDArray[np.int32]
    probs_S_K: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One exchange as a student trains on it.

    Attributes:
        exchange: the exchange's id.
        ids: prompt, answer and stop token.
        start: index of the first supervised id; all from there to the end are.
        truncated: longer than `max_length`; such rows are left out of training.
        top: the teacher's probabilities, where the loss wants and the exchange has them.
        teacher_ids: for a local teacher, the same answer after all that the teacher saw (system prompt and examples).
        teacher_start: index of the first supervised id there.
        without_signal: why the teacher's signal cannot be used, "" where it can or none is wanted.
    """

    exchange: str
    ids: NDArray[np.int32]
    start: int
    truncated: bool = False
    top: TopProbs | None = None
    teacher_ids: NDArray[np.int32] | None = None
    teacher_start: int = 0
    without_signal: str = ""

    @property
    def supervised(self) -> int:
        """How many tokens carry loss."""
        return len(self.ids) - self.start


def student_messages(messages: Sequence[Message], student: Student) -> list[Message]:
    """What the student sees of a prompt: the recipe's system prompt, if any, before the bare messages."""
    if student.system is None:
        return list(messages)
    if messages and messages[0].role == "system":
        return [Message("system", f"{student.system}\n\n{messages[0].content}"), *messages[1:]]
    return [Message("system", student.system), *messages]


def token_rows(
    rows: Iterable[CollectedRow],
    template: ChatTemplate,
    student: Student,
    *,
    max_length: int,
    signal: Signal = "text",
    teacher_template: ChatTemplate | None = None,
) -> list[TokenRow]:
    """Every row as token ids, in order.

    Args:
        rows: kept exchanges.
        template: the student's.
        student: its system prompt, and whether it learns to think.
        max_length: longest row in tokens that is trained on.
        signal: what the loss needs of the teacher.
        teacher_template: a local teacher's, for signal "weights".
    """
    vocab = template.vocab
    return [_token_row(row, template, student, max_length, signal, teacher_template, vocab) for row in rows]


def trainable(rows: Iterable[TokenRow], signal: Signal = "text") -> list[TokenRow]:
    """The rows that are trained on: whole ones with something to learn.

    Without log-probabilities a row is learned by its tokens alone; without a local teacher's view it cannot be used.
    """
    return [
        row
        for row in rows
        if not row.truncated and row.supervised > 0 and not (signal == "weights" and row.without_signal)
    ]


def _token_row(
    row: CollectedRow,
    template: ChatTemplate,
    student: Student,
    max_length: int,
    signal: Signal,
    teacher_template: ChatTemplate | None,
    vocab: int,
) -> TokenRow:
    exchange = row.exchange
    reasoning = exchange.reasoning if student.think == "keep" else None
    said = template.conversation(student_messages(row.prompt.messages, student), exchange.answer, reasoning)
    ids = np.asarray(said.ids, np.int32)
    truncated = len(ids) > max_length
    if signal == "logprobs":
        top, why = aligned(exchange.logprobs, ids[said.start :], vocab)
        return TokenRow(exchange.id, ids, said.start, truncated, top, without_signal=why)
    if signal == "weights" and teacher_template is not None:
        heard = teacher_template.conversation(exchange.messages, exchange.answer, reasoning)
        same = heard.ids[heard.start :] == said.ids[said.start :]
        why = "" if same else "the teacher's template makes other tokens of the answer"
        seen = np.asarray(heard.ids, np.int32)
        return TokenRow(exchange.id, ids, said.start, truncated, None, seen, heard.start, why)
    return TokenRow(exchange.id, ids, said.start, truncated)


def aligned(logprobs: TokenLogprobs | None, supervised_S: NDArray[np.int32], vocab: int) -> tuple[TopProbs | None, str]:
    """The teacher's probabilities at the supervised positions, or None and why they cannot be used.

    They can where the teacher's tokens are, id for id, the student's tokens of the same answer. The stop token always
    learns from the hard target: many servers leave it out, and its alternatives are other ways to stop.
    """
    if logprobs is None:
        return None, "the exchange has no log-probabilities"
    if not logprobs.has_ids:
        return None, "the teacher gave token texts without ids"
    found = unpack(logprobs)
    body = len(supervised_S) - 1
    chosen = np.frombuffer(found.chosen_ids, np.uint32).astype(np.int64)
    if len(chosen) not in (body, body + 1) or not np.array_equal(chosen[:body], supervised_S[:body]):
        return None, "the teacher's token ids are not the student's"
    if found.k == 0:
        return None, "the exchange has no alternatives"
    return _top_probs(found, supervised_S, vocab)


def _top_probs(found: Unpacked, supervised_S: NDArray[np.int32], vocab: int) -> tuple[TopProbs | None, str]:
    body = len(supervised_S) - 1
    ids = np.frombuffer(found.ids, np.uint32).astype(np.int64).reshape(-1, found.k)[:body]
    probs = np.exp(np.frombuffer(found.logprobs, np.float32).reshape(-1, found.k)[:body])
    here = (probs > 0) & ~_repeats(ids)
    if (ids[here] >= vocab).any():
        return None, "the teacher names ids outside the student's vocabulary"
    ids_S_K = np.full((body + 1, found.k), -1, np.int32)
    probs_S_K = np.zeros((body + 1, found.k), np.float32)
    ids_S_K[:body] = np.where(here, ids, -1)
    # Rounding to 1/256 nat can push a sum past 1 by a fraction of a percent.
    probs = np.where(here, probs, 0)
    probs_S_K[:body] = probs / np.maximum(probs.sum(1, keepdims=True), 1)
    hard = ids_S_K[:, 0] < 0
    ids_S_K[hard], probs_S_K[hard] = -1, 0
    ids_S_K[hard, 0], probs_S_K[hard, 0] = supervised_S[hard], 1
    return TopProbs(ids_S_K, probs_S_K), ""


def _repeats(ids_S_K: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where an id was already named at the same position."""
    order = ids_S_K.argsort(1, kind="stable")
    ordered = np.take_along_axis(ids_S_K, order, 1)
    repeated = np.zeros(ids_S_K.shape, bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    return repeated
