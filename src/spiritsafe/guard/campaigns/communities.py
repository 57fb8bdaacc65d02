"""Communities: accounts that surprising links hold together, by Leiden (Traag, Waltman and van Eck 2019).

Accounts and values are the two sides of a graph, so a value with ten thousand carriers costs ten thousand edges. An
edge weighs ln of carriers over expected ones: what is known of the carrier's not being there by chance. The
communities are a proposal and prove nothing; each is tested on other data.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import MissingExtra
from spiritsafe.guard.campaigns.links import Links

FEWEST_ACCOUNTS = 5
_SEED = 7


def communities(links: Links) -> list[NDArray[np.int64]]:
    """The places of the accounts of each community, the largest first.

    Raises:
        MissingExtra: igraph is not installed.
    """
    if not len(links.keys):
        return []
    accounts, own = np.unique(links.places, return_inverse=True)
    membership = np.array(_leiden(len(accounts) + len(links.keys), own, len(accounts) + links.values, _weights(links)))
    mine = membership[: len(accounts)]
    found = [accounts[mine == one] for one in np.unique(mine)]
    large = [places for places in found if len(places) >= FEWEST_ACCOUNTS]
    return sorted(large, key=lambda places: (-len(places), int(places[0])))


def _weights(links: Links) -> NDArray[np.float64]:
    return np.log(links.ratios)[links.values]


def _leiden(
    nodes: int, froms: NDArray[np.int64], tos: NDArray[np.int64], weights: NDArray[np.float64]
) -> Sequence[int]:
    try:
        # Imported here: only who looks for campaigns needs it.
        import igraph
    except ImportError as error:
        raise MissingExtra.of("finding communities", "detect") from error
    igraph.set_random_number_generator(random.Random(_SEED))
    graph = igraph.Graph(n=nodes, edges=np.stack([froms, tos], axis=1).tolist())
    found: Sequence[int] = graph.community_leiden(
        objective_function="modularity", weights=weights.tolist(), n_iterations=-1
    ).membership
    return found
