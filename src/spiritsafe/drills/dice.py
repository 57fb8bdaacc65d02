"""Seeded draws that are the same in every process and under every version of Python.

A `Dice` is a stream of bits named by a key: block n is BLAKE2b of n under that key. `fork` names a stream of its own:
what one account draws does not move what another one does, and a drill can be cut into parts at will. A `Dice` holds a
few hundred bytes, a tenth of `random.Random`; a hundred thousand accounts have one each.

Limits: the distributions use the platform's log and exp, whose last bit may differ between C libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import TypeVar

T = TypeVar("T")

Phrase = tuple[str, tuple[tuple[str, ...], ...]]
"""A sentence to be said: its text with %s at each place, and the words of which one comes to each; at most eight."""

_BLOCK_BYTES = 64
_DRAWS = _BLOCK_BYTES // 4
_MASK = (1 << 32) - 1
_PHRASE_MASK = (1 << 128) - 1
_UNIT = 1.0 / (1 << 32)

_QUANTILES = 8192
_NORMAL = tuple(NormalDist().inv_cdf((place + 0.5) / _QUANTILES) for place in range(_QUANTILES))


class Dice:
    """A stream of draws.

    Args:
        key: names the stream; at most 64 bytes. Made by `Dice.of` or `fork`.
    """

    __slots__ = ("_bits", "_block", "_key", "_left")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._block = 0
        self._bits = 0
        self._left = 0

    @classmethod
    def of(cls, *names: object) -> Dice:
        """The stream named by `names`: text and whole numbers."""
        return cls(_named(b"", names))

    def fork(self, *names: object) -> Dice:
        """A stream of its own under this one's key; what was drawn before does not matter."""
        return Dice(_named(self._key, names))

    @property
    def key(self) -> bytes:
        """The stream's name, 16 bytes."""
        return self._key

    def _fill(self) -> None:
        block = blake2b(self._block.to_bytes(8, "little"), digest_size=_BLOCK_BYTES, key=self._key).digest()
        self._bits = int.from_bytes(block, "little")
        self._block += 1
        self._left = _DRAWS

    # `unit`, `below` and `pick` are most of what a play does: each takes its 32 bits by itself, a call less

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._left:
            self._fill()
        self._left -= 1
        bits = self._bits
        self._bits = bits >> 32
        return (bits & _MASK) * _UNIT

    def below(self, size: int) -> int:
        """A whole number in 0 .. size - 1, for sizes far below 2**32."""
        if not self._left:
            self._fill()
        self._left -= 1
        bits = self._bits
        self._bits = bits >> 32
        return (bits & _MASK) * size >> 32

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, each as likely."""
        if not self._left:
            self._fill()
        self._left -= 1
        bits = self._bits
        self._bits = bits >> 32
        return options[(bits & _MASK) * len(options) >> 32]

    def chance(self, share: float) -> bool:
        """True in `share` of the draws."""
        return self.unit() < share

    def between(self, least: float, most: float) -> float:
        """A number in [least, most)."""
        return least + (most - least) * self.unit()

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `options`, in the order drawn; all of them where there are no more."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One of `options`, as likely as its weight says."""
        at = self.unit() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            at -= weight
            if at < 0:
                return option
        return options[-1]

    def early(self, options: Sequence[T], skew: float = 2.0) -> T:
        """One of `options`, the first ones more often: position = size * unit ** skew."""
        return options[int(len(options) * self.unit() ** skew)]

    def hex(self, words: int) -> str:
        """`words` times eight hex digits."""
        return "".join([f"{self.below(1 << 32):08x}" for _ in range(words)])

    def exponential(self) -> float:
        """Exponential with mean 1."""
        return -log(1.0 - self.unit())

    def normal(self) -> float:
        """Standard normal: one of 8,192 quantiles, so never beyond 3.85 standard deviations."""
        return _NORMAL[self.below(_QUANTILES)]

    def lognormal(self, median: float, sigma: float, most: float = inf) -> float:
        """Log-normal around `median`, cut at `most`."""
        return min(most, median * exp(sigma * self.normal()))

    def gamma(self, shape: float) -> float:
        """Gamma of `shape` with mean 1, by Marsaglia and Tsang (2000); a shape below 1 is bursty, above it regular."""
        if shape == 1.0:
            return self.exponential()
        if shape < 1.0:
            return self.gamma(shape + 1.0) * (shape + 1.0) / shape * exp(log(1.0 - self.unit()) / shape)
        third = shape - 1.0 / 3.0
        while True:
            normal = self.normal()
            root = 1.0 + normal / (3.0 * sqrt(third))
            cube = root * root * root
            if cube > 0.0 and -self.exponential() < 0.5 * normal * normal + third * (1.0 - cube + log(cube)):
                return third * cube / shape

    def geometric(self, mean: float) -> int:
        """A count of 0 or more with this mean, each further one as likely as the last."""
        return int(log(1.0 - self.unit()) / log(mean / (1.0 + mean))) if mean > 0 else 0

    def say(self, phrase: Phrase) -> str:
        """The phrase with one of its words at every place; lists are far shorter than 65,536."""
        if self._left < _DRAWS // 4:
            self._fill()
        text, lists = phrase
        bits = self._bits & _PHRASE_MASK
        self._bits >>= 128
        self._left -= _DRAWS // 4
        said = []
        for words in lists:
            said.append(words[(bits & 0xFFFF) * len(words) >> 16])
            bits >>= 16
        return text % tuple(said)


def _named(key: bytes, names: tuple[object, ...]) -> bytes:
    return blake2b("\x1f".join(map(str, names)).encode(), digest_size=16, key=key).digest()
