"""Loss: what a chunk of student logits is worth against the teacher, and its gradient.

A loss sees C rows of logits at a time (one row a supervised position) and does two things in one pass: it returns the
loss of every row, and it overwrites the logits with the gradient of those losses. `losses.linear` wraps that into the
linear layer that made the logits, so that no more than one chunk of them ever exists.

No torch is imported here or by any loss: they only call methods of the tensors they are handed. So the table of losses
can be read where torch is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Signal = Literal["text", "logprobs", "weights"]
"""What a loss needs of the teacher: its answers, its top-k log-probabilities, or its weights in this process."""


@dataclass(frozen=True, slots=True)
class LossSettings:
    """How a loss is applied.

    Attributes:
        mix: weight of the loss; the rest, 1 - mix, is cross-entropy on the answer's own tokens.
        beta: weight of the teacher in the mixture of generalized JSD.
        temperature: divides both sides' logits before the softmax; full-vocabulary losses only. The loss is multiplied
            by its square, so that gradients keep their size (Hinton et al. 2015, section 2).
    """

    mix: float = 1.0
    beta: float = 0.5
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Targets:
    """What N rows of student logits are compared with.

    Attributes:
        labels_N: the answer's own token ids.
        top_ids_N_K: ids of the teacher's K likeliest tokens, distinct in a row, -1 where there are fewer; the first is
            always there. A row without log-probabilities holds its label with probability 1, which is cross-entropy.
        top_probs_N_K: their probabilities, at most 1 together; 0 where the id is -1.
        teacher_logits_N_V: a local teacher's logits over the same ids, for losses over the full vocabulary.
    """

    labels_N: Tensor
    top_ids_N_K: Tensor | None = None
    top_probs_N_K: Tensor | None = None
    teacher_logits_N_V: Tensor | None = None

    def rows(self, start: int, stop: int) -> Targets:
        """The targets of rows `start` to `stop`."""
        part = slice(start, stop)
        return Targets(
            self.labels_N[part],
            None if self.top_ids_N_K is None else self.top_ids_N_K[part],
            None if self.top_probs_N_K is None else self.top_probs_N_K[part],
            None if self.teacher_logits_N_V is None else self.teacher_logits_N_V[part],
        )


class Loss(Protocol):
    """One way of learning from the teacher."""

    @property
    def name(self) -> str:
        """The word in recipes."""
        ...

    @property
    def signal(self) -> Signal:
        """What it needs of the teacher."""
        ...

    @property
    def paper(self) -> str:
        """Where it comes from."""
        ...

    def apply(self, logits_C_V: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
        """The loss of each row, shape (C,), in nats; `logits_C_V` is overwritten with the gradient of their sum.

        Args:
            logits_C_V: float32 or float64 student logits; every column is a real token id.
            targets: of the same C rows.
            settings: mix, beta and temperature.
        """
        ...
