"""Reference: what is ordinary, learnt from an operator's own traffic, in one file.

Every account gives one number a detector: the largest score within the horizon. A watched account is ranked among
them, inside its own segment; `stats.conformal` says what that promises. From its places over all detectors an account
gets one more number, which is ranked in turn, so that a dozen detectors cost no more false alarms than one.

Source: Wilson 2019 for the harmonic combination of p-values; here its null distribution is the reference itself.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.guard.campaigns.links import Popularity
from spiritsafe.guard.campaigns.testing import Prompts
from spiritsafe.guard.watch.accounts import NAMES, READERS, Accounts
from spiritsafe.guard.watch.space import Space
from spiritsafe.stats.conformal import accounts_needed

REFERENCE_VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """The scores of a segment's ordinary accounts.

    Attributes:
        columns_DN: largest scores, a row a detector, rising.
        strange_N: of each account the sum over detectors of 1/place (1 for the highest score, 2 for the next), rising.
    """

    columns_DN: NDArray[np.float32]
    strange_N: NDArray[np.float64]

    @classmethod
    def of(cls, maxima_ND: NDArray[np.float32]) -> Ranks:
        """From the largest scores of the accounts, a row an account."""
        columns = np.sort(maxima_ND.T, axis=1)
        places = [_above(column, own) for column, own in zip(columns, maxima_ND.T, strict=True)]
        return cls(columns, np.sort(_strangeness(np.stack(places, axis=1))))

    @property
    def accounts(self) -> int:
        """How many there are."""
        return len(self.strange_N)

    def p_values(self, maxima_ND: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(p-values a detector, [n, D]; the p-value of the whole account, [n]) of watched accounts."""
        places = np.stack([_above(c, own) + 1 for c, own in zip(self.columns_DN, maxima_ND.T, strict=True)], axis=1)
        # Ordinary accounts keep their places without the watched one: a little too strange, which only raises p.
        as_strange = self.accounts - np.searchsorted(self.strange_N, _strangeness(places), side="left")
        return places / (self.accounts + 1), (as_strange + 1) / (self.accounts + 1)


def _strangeness(places_ND: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number an account from its places: high in one detector counts, high in several counts more (Wilson 2019)."""
    strange: NDArray[np.float64] = np.add.reduce(1.0 / places_ND, axis=1)
    return strange


def _above(column: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of a rising column are at least as large as each of `own`."""
    above: NDArray[np.int64] = len(column) - np.searchsorted(column, own, side="left")
    return above


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is ordinary.

    Attributes:
        space: in which prompts are placed.
        days: for how long the accounts were watched.
        exchanges: how many there were.
        segments: by name.
        popularity: of links, over all accounts but those under a contract to learn.
        prompts: the testing halves of some of these accounts.
        mean_F: the mean of their mean features.
        models_at: unix seconds of each model's first use.
        usual: packed sketches of request detectors.
    """

    space: Space
    days: float
    exchanges: int
    segments: Mapping[str, Ranks]
    popularity: Popularity
    prompts: Prompts
    mean_F: NDArray[np.float64]
    models_at: Mapping[int, float]
    usual: Mapping[str, bytes]

    def accounts(self) -> Accounts:
        """No accounts yet; those to come are compared with what is ordinary."""
        usual = {one.name: one.unpack(self.usual[one.name]) for one in READERS}
        accounts = Accounts(self.space, self.mean_F, usual)
        accounts.models_at |= self.models_at
        return accounts

    def void(self, segment: str, level: float, days: float) -> str:
        """Why no alarm can be raised about an account of `segment`; empty where one can.

        Args:
            segment: the account's.
            level: the probability of a false alarm that one would be raised at.
            days: for how long the account has been watched by now.
        """
        ranks = self.segments.get(segment)
        have, need = (ranks.accounts if ranks else 0), accounts_needed(level)
        if have < need:
            return (
                f"segment {shown(segment)} has {have:,} accounts in the reference, a level of {level:g} needs {need:,}"
            )
        if days > self.days + 1:
            return f"the reference watched accounts for {self.days:.1f} days, this one is watched for {days:.1f}"
        return ""

    def write(self, path: Path) -> None:
        """Write it to `path`, whole or not at all.

        Raises:
            StoreError: the disk did not take it.
        """
        about = {
            "version": REFERENCE_VERSION,
            "detectors": NAMES,
            "days": self.days,
            "exchanges": self.exchanges,
            "segments": list(self.segments),
            "chances": self.popularity.chances,
            "models": {str(name): at for name, at in sorted(self.models_at.items())},
        }
        arrays: dict[str, Any] = {
            "about": np.frombuffer(orjson.dumps(about), np.uint8),
            "space": np.frombuffer(self.space.to_bytes(), np.uint8),
            "keys": self.popularity.keys,
            "counts": self.popularity.counts,
            "prompts": self.prompts.prompts_NS,
            "hits": self.prompts.hits_NS,
            "notes": self.prompts.notes_NSK,
            "mean": self.mean_F,
        }
        for place, ranks in enumerate(self.segments.values()):
            arrays |= {f"scores{place}": ranks.columns_DN, f"ranks{place}": ranks.strange_N}
        for name, packed in self.usual.items():
            arrays[f"usual_{name}"] = np.frombuffer(packed, np.uint8)
        held = io.BytesIO()
        np.savez_compressed(held, **arrays)
        with replacing(path) as file:
            file.write(held.getvalue())


def read_reference(path: Path) -> Reference:
    """The reference at `path`.

    Raises:
        InputError: it cannot be read.
        StoreError: it is none, damaged, or of another version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {shown(str(path))}: {error.strerror}; "
            "give the file that `spiritsafe guard calibrate` has written"
        ) from None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _reference(dict(arrays))
    except StoreError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy raise a dozen kinds over bytes that are not what they should be.
        raise StoreError(
            f"{shown(str(path))} is no reference, or damaged ({type(error).__name__}); "
            "make one with `spiritsafe guard calibrate`"
        ) from None


def _reference(arrays: dict[str, NDArray[Any]]) -> Reference:
    about = orjson.loads(arrays["about"].tobytes())
    if about["version"] != REFERENCE_VERSION or tuple(about["detectors"]) != NAMES:
        raise StoreError(
            f"got a reference of version {about['version']} with {len(about['detectors'])} detectors, wanted version "
            f"{REFERENCE_VERSION} with these {len(NAMES)}: calibrate again"
        )
    segments = {
        name: Ranks(arrays[f"scores{place}"], arrays[f"ranks{place}"]) for place, name in enumerate(about["segments"])
    }
    usual = {one.name: arrays[f"usual_{one.name}"].tobytes() for one in READERS}
    return Reference(
        space=Space.from_bytes(arrays["space"].tobytes()),
        days=about["days"],
        exchanges=about["exchanges"],
        segments=segments,
        popularity=Popularity(arrays["keys"], arrays["counts"], tuple(about["chances"])),
        prompts=Prompts(arrays["prompts"], arrays["hits"], arrays["notes"]),
        mean_F=arrays["mean"],
        models_at={int(name): at for name, at in about["models"].items()},
        usual=usual,
    )
