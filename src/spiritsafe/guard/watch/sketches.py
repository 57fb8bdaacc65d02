"""Sketches: what is remembered of every account, in columns. Some 6 KB an account, whatever it asks, and exact merges.

    sketches = Sketches()
    slots = sketches.slots(names)                # a row for each account
    sketches.take(batch, slots)
    both = sketches.merged([3, 17])              # the sketch of a campaign
    other.put("acme", sketches.pack(3))          # merges it into another table's

Prompts are divided in two halves by their hash. Communities of accounts are found on one half and tested on the other,
so that what was found is never its own confirmation. A prompt asked again, by whomever, lies in the same half.

Of each half the distinct prompts with the smallest hashes are kept (`text.distinct` has the reasons), with their
anchors and their cell. Sums and counts add up; first and last times take the smaller and the larger; so order and
grouping of exchanges and merges change no bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate
from math import prod
from struct import Struct
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import StoreError
from spiritsafe.guard.watch.reading import LINK_KINDS, Batch
from spiritsafe.guard.watch.space import DIRECTIONS, FREQUENCIES
from spiritsafe.stats.fourier import AMPLITUDE
from spiritsafe.text.templates import ANCHORS

SAMPLED = 24
"""Distinct prompts kept of each half: shares are known to ±0.2, over both halves to ±0.14."""

CELL, FOLLOWS = ANCHORS, ANCHORS + 1
NOTES = ANCHORS + 2
"""Beside a sampled prompt: its anchors, its cell, and whether it went on with a conversation."""

BIN_S = 900
BINS = 192
"""The clock: exchanges by quarter of an hour, of the last two days."""

FULLEST_BIN = 65_535
"""Exchanges that a quarter of an hour holds; it stays at that with more."""

MOST_TODAY = (2**31 - 1) // AMPLITUDE
"""Prompts of one day whose features are known to add up in 32 bits: 8.4 million. A day of more is not looked at."""

MOST_LINKS = 4
"""Values kept of each kind of client fact; of more, those with the smallest hashes."""

MODELS = 6
"""Models kept; of more, those with the smallest hashes."""

NO_PROMPT = np.uint32(0xFFFFFFFF)
"""Marks a free place in a sample; the one prompt in 4 billion with this hash is not sampled."""

_PAIRS = DIRECTIONS * (DIRECTIONS + 1) // 2
_UPPER = np.triu_indices(DIRECTIONS)

Row: TypeAlias = dict[str, Any]
"""One account's part of each column."""

Columns: TypeAlias = dict[str, NDArray[Any]]
"""Some accounts' part of each column."""

# name, type, shape of an account's part, what an account has at first
_COLUMNS: tuple[tuple[str, str, tuple[int, ...], float], ...] = (
    ("seen", "<u8", (), 0),
    ("empty", "<u8", (), 0),
    ("follows", "<u8", (), 0),
    ("tokens", "<u8", (), 0),
    ("first_at", "<f8", (), np.inf),
    ("last_at", "<f8", (), -np.inf),
    ("prompts", "<u4", (2, SAMPLED), float(NO_PROMPT)),
    ("hits", "<u4", (2, SAMPLED), 0),
    ("notes", "<u4", (2, SAMPLED, NOTES), 0),
    ("counts", "<u8", (2,), 0),
    ("sums", "<i8", (2 * FREQUENCIES,), 0),
    ("recent", "<i4", (2 * FREQUENCIES,), 0),
    ("recent_count", "<u8", (), 0),
    ("recent_day", "<i8", (), -1),
    ("moments", "<i8", (DIRECTIONS + _PAIRS,), 0),
    ("hours", "<u4", (24,), 0),
    ("bins", "<u2", (BINS,), 0),
    ("newest_bin", "<i8", (), -1),
    ("links", "<u4", (len(LINK_KINDS), MOST_LINKS), float(NO_PROMPT)),
    ("models", "<u4", (MODELS,), float(NO_PROMPT)),
    ("model_counts", "<u4", (MODELS,), 0),
    ("model_first", "<f8", (MODELS,), np.inf),
    ("model_last", "<f8", (MODELS,), -np.inf),
)

SKETCH_VERSION = 2
"""Of packed sketches; another one whenever a column is."""

_HEAD = Struct("<4sII")
_MAGIC = b"SSsk"

_LENGTHS = tuple(np.dtype(kind).itemsize * prod(shape) for _, kind, shape, _ in _COLUMNS)
STATE_BYTES = _HEAD.size + sum(_LENGTHS)
"""What an account's sketch takes, packed; in a table 12 bytes less."""


class Sketches:
    """A table of accounts.

    Attributes:
        names: by slot.
        slot_of: by name.
        columns: see `_COLUMNS`; rows beyond the accounts are as of new ones.
    """

    def __init__(self, room: int = 64) -> None:
        self.names: list[str] = []
        self.slot_of: dict[str, int] = {}
        self.columns = {name: np.full((room, *shape), fill, dtype=kind) for name, kind, shape, fill in _COLUMNS}

    def __len__(self) -> int:
        return len(self.names)

    def slots(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The slot of each account; those not met before get one, in the order of their coming."""
        slot_of = self.slot_of
        for name in names:
            if name not in slot_of:
                slot_of[name] = len(self.names)
                self.names.append(name)
        self._make_room()
        return np.array([slot_of[name] for name in names], dtype=np.int64)

    def _make_room(self) -> None:
        have = len(self.columns["seen"])
        if len(self.names) <= have:
            return
        room = max(len(self.names), have + have // 2)
        for name, kind, shape, fill in _COLUMNS:
            longer = np.full((room, *shape), fill, dtype=kind)
            longer[:have] = self.columns[name]
            self.columns[name] = longer

    def take(self, batch: Batch, slots_N: NDArray[np.int64]) -> None:
        """Take a batch in, each exchange into the sketch at its slot."""
        if not len(slots_N):
            return
        own = self.columns
        half_N = (batch.prompts_N & 1).astype(np.int64)
        np.add.at(own["seen"], slots_N, 1)
        np.add.at(own["empty"], slots_N, batch.is_empty_N.astype(np.uint64))
        np.add.at(own["follows"], slots_N, batch.follows_N.astype(np.uint64))
        np.add.at(own["tokens"], slots_N, batch.tokens_N.astype(np.uint64))
        np.minimum.at(own["first_at"], slots_N, batch.at_N)
        np.maximum.at(own["last_at"], slots_N, batch.at_N)
        np.add.at(own["hours"], (slots_N, (batch.at_N // 3600 % 24).astype(np.int64)), 1)
        told = ~batch.is_empty_N
        np.add.at(own["counts"], (slots_N[told], half_N[told]), 1)
        np.add.at(own["sums"], slots_N[told], batch.features_NF[told])
        self._today(slots_N[told], (batch.at_N[told] // 86_400).astype(np.int64), batch.features_NF[told])
        self._moments(slots_N[told], batch.projections_NR[told])
        self._clock(slots_N, (batch.at_N // BIN_S).astype(np.int64))
        self._link(slots_N, batch.links_NK)
        self._use(slots_N, batch)
        self._sample(slots_N, half_N, batch, told)

    def _today(self, slots: NDArray[np.int64], days: NDArray[np.int64], features: NDArray[np.int16]) -> None:
        """Features of an account's newest day, for a look at it beside all days before."""
        own = self.columns
        before = own["recent_day"][slots].copy()
        np.maximum.at(own["recent_day"], slots, days)
        began = slots[own["recent_day"][slots] > before]
        own["recent"][began] = 0
        own["recent_count"][began] = 0
        now = days == own["recent_day"][slots]
        np.add.at(own["recent"], slots[now], features[now])
        np.add.at(own["recent_count"], slots[now], 1)

    def _moments(self, slots: NDArray[np.int64], projections: NDArray[np.float64]) -> None:
        whole = projections.astype(np.int64)
        products = whole[:, _UPPER[0]] * whole[:, _UPPER[1]]
        np.add.at(self.columns["moments"], slots, np.concatenate([whole, products], axis=1))

    def _clock(self, slots: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        newest = self.columns["newest_bin"]
        before = newest[slots].copy()
        np.maximum.at(newest, slots, numbers)
        touched, first = np.unique(slots, return_index=True)
        for slot, was in zip(touched, before[first], strict=True):
            _advance(self.columns["bins"][slot], int(was), int(newest[slot]))
        recent = numbers > newest[slots] - BINS
        places, counts = np.unique(slots[recent] * BINS + numbers[recent] % BINS, return_counts=True)
        bins = self.columns["bins"].reshape(-1)
        bins[places] = _full(bins[places], counts)

    def _link(self, slots: NDArray[np.int64], links_NK: NDArray[np.uint32]) -> None:
        kept = self.columns["links"]
        values = np.where(links_NK == 0, NO_PROMPT, links_NK)
        known = np.any(kept[slots] == values[:, :, None], axis=2) | (values > kept[slots, :, -1])
        known |= values == NO_PROMPT
        for place, kind in zip(*np.nonzero(~known), strict=True):
            row = kept[slots[place], kind]
            value = values[place, kind]
            if value < row[-1] and value not in row:
                row[-1] = value
                row.sort()

    def _use(self, slots: NDArray[np.int64], batch: Batch) -> None:
        own = self.columns
        keys = slots.astype(np.uint64) << np.uint64(32) | batch.models_N
        for key in np.unique(keys):
            mine = keys == key
            slot, model = int(key >> np.uint64(32)), np.uint32(key & np.uint64(0xFFFFFFFF))
            if model and model != NO_PROMPT:
                at = batch.at_N[mine]
                row = {name: own[name][slot] for name in _MODEL_COLUMNS}
                _add_model(row, int(model), int(mine.sum()), float(at.min()), float(at.max()))

    def _sample(self, slots: NDArray[np.int64], half: NDArray[np.int64], batch: Batch, told: NDArray[np.bool_]) -> None:
        """Bring the batch's prompts into the samples: only those that enter are looked at closely."""
        prompts = self.columns["prompts"]
        enters = told & (batch.prompts_N <= prompts[slots, half, -1]) & (batch.prompts_N != NO_PROMPT)
        places = np.nonzero(enters)[0]
        # The smallest first: those after them then find their sample full, and are not looked at.
        for place in places[np.argsort(batch.prompts_N[places], kind="stable")].tolist():
            self._enter(int(slots[place]), int(half[place]), place, batch)

    def _enter(self, slot: int, half: int, place: int, batch: Batch) -> None:
        own, prompt = self.columns, batch.prompts_N[place]
        prompts, hits, notes = own["prompts"][slot, half], own["hits"][slot, half], own["notes"][slot, half]
        at = int(np.searchsorted(prompts, prompt))
        if at == SAMPLED:
            return
        if prompts[at] != prompt:
            for column in (prompts, hits, notes):
                column[at + 1 :] = column[at:-1].copy()
            prompts[at], hits[at] = prompt, 0
            notes[at] = (*batch.anchors(place), int(batch.cells_N[place]), int(batch.follows_N[place]))
        else:
            # A prompt asked in two ways counts as the smaller, whichever came first.
            notes[at, FOLLOWS] = min(notes[at, FOLLOWS], int(batch.follows_N[place]))
        hits[at] += 1

    def clocks(self, slots: NDArray[np.int64]) -> NDArray[np.uint16]:
        """The clocks of some accounts over the same two days, the last of any of them; what is older is 0."""
        bins, newest = self.columns["bins"][slots].copy(), self.columns["newest_bin"][slots]
        for row, was in zip(bins, newest.tolist(), strict=True):
            _advance(row, was, int(newest.max(initial=-1)))
        clocks: NDArray[np.uint16] = bins
        return clocks

    def rows(self, slots: NDArray[np.int64]) -> Columns:
        """The sketches at some slots, a column each, for `set_rows` of another table."""
        return {name: values[slots] for name, values in self.columns.items()}

    def set_rows(self, slots: NDArray[np.int64], rows: Columns) -> None:
        """Put sketches in the place of those at some slots."""
        for name, values in self.columns.items():
            values[slots] = rows[name]

    def replace(self, name: str, packed: bytes) -> None:
        """Put a packed sketch in the place of an account's.

        Raises:
            StoreError: `packed` is no sketch, damaged, or of another version.
        """
        other = _unpacked(packed)
        slot = int(self.slots([name])[0])
        for column, values in self.columns.items():
            values[slot] = other[column]

    def put(self, name: str, packed: bytes) -> None:
        """Merge a packed sketch into an account's.

        Raises:
            StoreError: `packed` is no sketch, damaged, or of another version.
        """
        other, slot = _unpacked(packed), int(self.slots([name])[0])
        row = {column: values[slot] for column, values in self.columns.items()}
        for column in _SUMMED:
            row[column] += other[column]
        _merge_days(row, other)
        _merge_clocks(row, other)
        for half in range(2):
            _merge_samples(row, other, half)
        for kind in range(len(LINK_KINDS)):
            values = np.unique(np.concatenate([row["links"][kind], other["links"][kind]]))[:MOST_LINKS]
            row["links"][kind, : len(values)] = values
        for place in np.nonzero(other["models"] != NO_PROMPT)[0]:
            _add_model(row, *(other[column][place] for column in _MODEL_COLUMNS))
        for column, values in self.columns.items():
            values[slot] = row[column]
        self.columns["first_at"][slot] = min(row["first_at"], other["first_at"])
        self.columns["last_at"][slot] = max(row["last_at"], other["last_at"])

    def pack(self, slot: int) -> bytes:
        """A sketch as bytes; equal sketches give equal bytes."""
        columns = b"".join(self.columns[name][slot].tobytes() for name, _, _, _ in _COLUMNS)
        return _HEAD.pack(_MAGIC, SKETCH_VERSION, zlib.crc32(columns)) + columns

    def merged(self, slots: Sequence[int]) -> Sketches:
        """A table whose one sketch is that of all these accounts together."""
        both = Sketches(1)
        for slot in slots:
            both.put("", self.pack(slot))
        return both


def last_at(packed: bytes) -> float:
    """Unix seconds of the newest exchange in a packed sketch.

    Raises:
        StoreError: `packed` is no sketch, damaged, or of another version.
    """
    return float(_unpacked(packed)["last_at"])


_SUMMED = ("seen", "empty", "follows", "tokens", "counts", "sums", "moments", "hours")
_MODEL_COLUMNS = ("models", "model_counts", "model_first", "model_last")


def _unpacked(packed: bytes) -> Row:
    if len(packed) < _HEAD.size or not packed.startswith(_MAGIC):
        raise StoreError(f"got {len(packed)} bytes that are no sketch, wanted one; replay the log again")
    _, version, check = _HEAD.unpack_from(packed)
    if version != SKETCH_VERSION:
        raise StoreError(
            f"got a sketch of version {version}, wanted version {SKETCH_VERSION}; use the same release everywhere"
        )
    if len(packed) != STATE_BYTES or zlib.crc32(packed[_HEAD.size :]) != check:
        raise StoreError(
            f"got a damaged sketch of {len(packed)} bytes, wanted {STATE_BYTES} with a right checksum; "
            "replay the log again"
        )
    starts = accumulate(_LENGTHS, initial=_HEAD.size)
    return {
        name: np.frombuffer(packed, kind, prod(shape), start).reshape(shape)
        for (name, kind, shape, _), start in zip(_COLUMNS, starts, strict=False)
    }


def _advance(bins: NDArray[np.uint16], was: int, now: int) -> None:
    """Empty the places of a clock whose quarters come anew between `was` and `now`."""
    if was < now:
        bins[np.arange(max(was + 1, now - BINS + 1), now + 1) % BINS] = 0


def _full(bins: NDArray[np.uint16], more: NDArray[np.integer]) -> NDArray[np.uint16]:
    """A clock with more exchanges; what a quarter cannot hold is left out, in any order and grouping the same."""
    return np.minimum(bins + more.astype(np.int64), FULLEST_BIN).astype(np.uint16)


def _merge_days(row: Row, other: Row) -> None:
    mine, theirs = int(row["recent_day"]), int(other["recent_day"])
    keeps, adds = int(mine >= theirs), int(theirs >= mine)
    for column in ("recent", "recent_count"):
        kind = row[column].dtype.type
        row[column] = row[column] * kind(keeps) + other[column] * kind(adds)
    row["recent_day"] = np.int64(max(mine, theirs))


def _merge_clocks(row: Row, other: Row) -> None:
    newest = max(int(row["newest_bin"]), int(other["newest_bin"]))
    theirs = other["bins"].copy()
    _advance(row["bins"], int(row["newest_bin"]), newest)
    _advance(theirs, int(other["newest_bin"]), newest)
    row["bins"] = _full(row["bins"], theirs)
    row["newest_bin"] = np.int64(newest)


def _merge_samples(row: Row, other: Row, half: int) -> None:
    prompts = np.concatenate([row["prompts"][half], other["prompts"][half]])
    found, places, inverse = np.unique(prompts, return_index=True, return_inverse=True)
    hits = np.bincount(inverse, np.concatenate([row["hits"][half], other["hits"][half]]), len(found))
    notes = np.concatenate([row["notes"][half], other["notes"][half]])
    follows = np.full(len(found), 1 << 31, dtype=np.uint32)
    np.minimum.at(follows, inverse, notes[:, FOLLOWS])
    kept = min(SAMPLED, len(found))
    row["prompts"][half] = NO_PROMPT
    row["prompts"][half, :kept] = found[:kept]
    row["hits"][half, :kept] = hits[:kept]
    row["notes"][half, :kept] = notes[places[:kept]]
    row["notes"][half, :kept, FOLLOWS] = follows[:kept]


def _add_model(row: Row, model: int, count: int, first_at: float, last_at: float) -> None:
    """Add the use of a model to those kept."""
    models = row["models"]
    at = int(np.searchsorted(models, model))
    if at == MODELS:
        return
    if models[at] != model:
        for name, fresh in zip(_MODEL_COLUMNS, (model, 0, np.inf, -np.inf), strict=True):
            row[name][at + 1 :] = row[name][at:-1].copy()
            row[name][at] = fresh
    row["model_counts"][at] += count
    row["model_first"][at] = min(row["model_first"][at], first_at)
    row["model_last"][at] = max(row["model_last"][at], last_at)
