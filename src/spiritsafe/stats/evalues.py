"""E-values: evidence that may be averaged, multiplied and looked at whenever one likes.

An e-value is a number ≥ 0 whose mean is at most 1 where nothing is wrong, so by Markov's inequality it is ≥ 1/level
with probability at most `level`. An e-process is an e-value at every moment at which one may stop; Ville's inequality
says the same of its whole path. What each function needs to stay valid is in its docstring: averaging needs nothing,
multiplying needs independence (or each factor to be valid given the ones before it).

Sources: Vovk and Wang 2021 ("E-values: calibration, combination and applications"); Ramdas and Wang 2025
("Hypothesis testing with e-values"); Shafer, Shen, Vereshchagin and Vovk 2011 for adjusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from spiritsafe.errors import InputError, shown

LARGEST = math.exp(709.0)
"""What an e-value that would overflow a float is given as."""


def power(p: float, kappa: float = 0.5) -> float:
    """The e-value κ·p^(κ−1) of a p-value: small κ bets on very small p, κ near 1 on p a little small.

    Args:
        p: a p-value, 0 < p ≤ 1.
        kappa: 0 < κ < 1, chosen before p is seen.

    Raises:
        InputError: p or κ is out of its range.
    """
    _check_p(p)
    if not 0 < kappa < 1:
        raise InputError(f"got kappa {shown(kappa)}, wanted a number between 0 and 1")
    return kappa * math.pow(p, kappa - 1)


def mixed(p: float) -> float:
    """The e-value of a p-value by the average of `power` over all κ: nothing to choose, and close to the best κ.

    It is (1 − p + p·ln p) / (p·ln²p); Vovk and Wang 2021, section 2.

    Raises:
        InputError: p is not in 0 < p ≤ 1.
    """
    _check_p(p)
    x = -math.log(p)
    # The closed form loses all its digits near p = 1; two terms of its series are exact to 1e-9 there.
    return 0.5 + x / 6 if x < 1e-4 else (math.expm1(x) - x) / (x * x)


def threshold(p: float, level: float) -> float:
    """The e-value of a test at one fixed level: 1/level where p ≤ level, else 0. Nothing is larger at that level.

    Raises:
        InputError: p or the level is not in (0, 1].
    """
    _check_p(p)
    return ville(level) if p <= level else 0.0


def ville(level: float) -> float:
    """The e-value from which on an alarm has a false-alarm probability of at most `level`, whenever one looks.

    Ville 1939: an e-process reaches 1/level at any time with probability at most `level` where nothing is wrong.

    Raises:
        InputError: the level is not in (0, 1].
    """
    if not 0 < level <= 1:
        raise InputError(f"got a level of {shown(level)}, wanted a probability above 0 and at most 1")
    return 1 / level


def as_p(evalue: float) -> float:
    """The p-value of an e-value, min(1, 1/e) (Markov). Of an e-process's supremum it is an anytime-valid p-value.

    Raises:
        InputError: the e-value is negative or not a number.
    """
    return 1.0 if _checked(evalue) <= 1 else 1 / evalue


def average(evalues: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The mean of e-values: again an e-value, however they depend on one another (Vovk and Wang 2021, theorem 3.2).

    Args:
        evalues: at least one.
        weights: not negative and not all 0, chosen without the data; only their ratios count. None: all equal.

    Raises:
        InputError: there is none, or weights do not fit.
    """
    weights = [1.0] * len(evalues) if weights is None else weights
    total = math.fsum(weights)
    if len(weights) != len(evalues) or not 0 < total < math.inf or min(weights) < 0:
        raise InputError(
            f"got {len(evalues)} e-values and weights {shown(list(weights))}, "
            "wanted at least one e-value and a weight for each, none negative and not all 0"
        )
    return math.fsum(weight * _checked(e) for weight, e in zip(weights, evalues, strict=True)) / total


def product(evalues: Sequence[float]) -> float:
    """The product of e-values; again an e-value only where they are independent, or each valid given those before it.

    E-values of accounts that were ranked among the same ordinary accounts are neither: use `average`, or
    `community.pooled_e_value`. The product of none is 1; one that would overflow is given as `LARGEST`.

    Raises:
        InputError: an e-value is negative or not a number.
    """
    if any(_checked(e) == 0 for e in evalues):
        return 0.0
    return from_log(math.fsum(math.log(e) for e in evalues))


def adjusted(supremum: float, kappa: float = 0.5) -> float:
    """The e-value that the largest value of an e-process so far is worth: κ·s^(1−κ).

    The supremum itself is no e-value (its mean can be infinite), and e-BH over suprema does not keep its promise
    (Tavyrikov, Goeman and de Heide 2025, arXiv 2501.19360). Any increasing A with ∫₁^∞ A(s)/s² ds ≤ 1 makes it one;
    this family does (Shafer et al. 2011).

    Args:
        supremum: the largest value so far; an e-process starts at 1, so below 1 counts as 1.
        kappa: 0 < κ < 1, chosen before.

    Raises:
        InputError: the supremum is negative or not a number, or κ is out of its range.
    """
    if not 0 < kappa < 1:
        raise InputError(f"got kappa {shown(kappa)}, wanted a number between 0 and 1")
    return kappa * math.pow(min(LARGEST, max(1.0, _checked(supremum))), 1 - kappa)


def from_log(log_evalue: float) -> float:
    """exp(`log_evalue`), at most `LARGEST`."""
    return math.exp(min(log_evalue, 709.0))


def _check_p(p: float) -> None:
    if not 0 < p <= 1:
        raise InputError(f"got the p-value {shown(p)}, wanted a number above 0 and at most 1")


def _checked(evalue: float) -> float:
    if not evalue >= 0:
        raise InputError(f"got the e-value {shown(evalue)}, wanted a number that is not negative")
    return evalue
