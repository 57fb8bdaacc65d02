"""An account against its own past: p-values that are uniform one after the other, from a memory of fixed size.

Each new score is ranked among those remembered and then remembered too; when the memory is full, one of the old and new
is forgotten, each with the same chance. That evenness is what keeps the p-values independent and uniform although most
of the past is gone: what is remembered next is a symmetric function of the old and new together and of a draw that
knows nothing, so given all that comes later, the newest is equally likely to be any of them. Always forgetting the
oldest would not do. Old scores fade with a mean age of `size` steps.

The null is "this account's scores could change places in time". Hand in scores of blocks that are about exchangeable
for an honest account (days, not single queries). Growth and honest migration break it as well: what this finds is a
change, not a reason.

Sources: Vovk, Nouretdinov and Gammerman 2003 (independent uniform ranks, for a memory without an end); the even
forgetting is an extension made here and tested by simulation.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from spiritsafe.errors import InputError, shown
from spiritsafe.stats.conformal import p_value


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of an account's past scores.

    Attributes:
        size: at most so many are remembered.
        kept: remembered scores, rising.
    """

    size: int = 63
    kept: tuple[float, ...] = ()

    def see(self, score: float, forget: float, tie: float | None = None) -> tuple[float, History]:
        """The p-value of the next score (small where it is large for this account), and the history after it.

        Args:
            score: of the next block.
            forget: a uniform draw from [0, 1) that nothing else depends on.
            tie: as in `conformal.p_value`; a further draw.

        Raises:
            InputError: the score is not a number, or a draw is out of its range.
        """
        if not 0 <= forget < 1 or self.size < 1:
            raise InputError(
                f"got the draw {shown(forget)} and size {shown(self.size)}, "
                "wanted a draw from 0 to below 1 and a size of at least 1"
            )
        p = p_value(self.kept, score, tie)
        kept = list(self.kept)
        insort(kept, score)
        if len(kept) > self.size:
            del kept[int(forget * len(kept))]
        return p, History(self.size, tuple(kept))
