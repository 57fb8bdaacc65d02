"""Curators: the cuts a recipe can name, in the order in which a chain usually has them, cheap ones first."""

from __future__ import annotations

from typing import Any

from spiritsafe.distil.curator import Curator
from spiritsafe.distil.curators.contamination import CONTAMINATION
from spiritsafe.distil.curators.diversity import DIVERSITY
from spiritsafe.distil.curators.empty import EMPTY
from spiritsafe.distil.curators.exact_duplicate import EXACT_DUPLICATE
from spiritsafe.distil.curators.language import LANGUAGE
from spiritsafe.distil.curators.length import LENGTH
from spiritsafe.distil.curators.near_duplicate import NEAR_DUPLICATE
from spiritsafe.distil.curators.refusal import REFUSAL
from spiritsafe.distil.curators.truncated import TRUNCATED
from spiritsafe.distil.curators.verifier import VERIFIER
from spiritsafe.registry import Table

CURATORS: Table[Curator[Any]] = Table(
    "curator",
    (
        TRUNCATED,
        REFUSAL,
        EMPTY,
        LENGTH,
        LANGUAGE,
        EXACT_DUPLICATE,
        NEAR_DUPLICATE,
        CONTAMINATION,
        VERIFIER,
        DIVERSITY,
    ),
)
