"""The losses a student can learn by. To add one: add a file here, a line to the tuple and a page to docs/reference."""

from __future__ import annotations

from spiritsafe.distil.loss import Loss
from spiritsafe.distil.losses.full import ForwardKL, GeneralizedJSD, ReverseKL
from spiritsafe.distil.losses.sequence import Sequence
from spiritsafe.distil.losses.topk import TopKForwardKL
from spiritsafe.registry import Table

LOSSES: Table[Loss] = Table("loss", (Sequence(), TopKForwardKL(), ForwardKL(), ReverseKL(), GeneralizedJSD()))
