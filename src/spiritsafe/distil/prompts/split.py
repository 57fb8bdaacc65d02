"""Streams of prompts: without repeats, and split into training and held-out prompts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from heapq import heappush, heappushpop

from spiritsafe.distil.prompt import Prompt
from spiritsafe.errors import InputError


def distinct(prompts: Iterable[Prompt], without: Collection[str] = ()) -> Iterator[Prompt]:
    """`prompts` without those whose id came before or is in `without`; the first of equals stays.

    Memory: about 80 bytes a prompt (a 12-byte digest in a set), up to 120 where the set has just grown.
    """
    seen = {bytes.fromhex(id_) for id_ in without}
    for prompt in prompts:
        key = bytes.fromhex(prompt.id)
        if key not in seen:
            seen.add(key)
            yield prompt


class HeldOutSplit:
    """Prompts split in one pass: iterate to get the training prompts; then `held_out` holds the others.

    Which prompts are held out depends on the set of prompts and the seed, not on their order: those `count` whose
    hash with the seed is smallest. More prompts later move at most as many as are new. Training prompts come in their
    order, but for those that were held out for a while and gave way. Memory: the held-out prompts.
    """

    def __init__(self, prompts: Iterable[Prompt], count: int, seed: int) -> None:
        self._prompts = prompts
        self._count = count
        self._seed = seed
        self._kept: list[tuple[int, str, Prompt]] = []
        self._ended = False

    def __iter__(self) -> Iterator[Prompt]:
        self._kept, self._ended = [], False
        held: set[str] = set()
        training = 0
        for prompt in self._prompts:
            if prompt.id in held:
                continue
            entry = (-_rank(prompt.id, self._seed), prompt.id, prompt)
            if len(self._kept) < self._count:
                heappush(self._kept, entry)
                held.add(prompt.id)
                continue
            out = heappushpop(self._kept, entry) if self._count else entry
            if out[1] != prompt.id:
                held.add(prompt.id)
                held.discard(out[1])
            training += 1
            yield out[2]
        if not training:
            raise InputError(
                f"got {len(self._kept)} different prompts, wanted {self._count} to hold out and more to train on; "
                "give more prompts or lower evaluate.held_out"
            )
        self._ended = True

    @property
    def held_out(self) -> list[Prompt]:
        """The held-out prompts, in the order of their hashes.

        Raises:
            RuntimeError: the training prompts have not been read to their end, so it is not known yet.
        """
        if not self._ended:
            raise RuntimeError("held-out prompts are known only after all training prompts have been read")
        return [prompt for _, _, prompt in sorted(self._kept, reverse=True, key=lambda entry: entry[:2])]


def _rank(prompt_id: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{seed}:{prompt_id}".encode(), digest_size=8).digest(), "big")


def split_held_out(prompts: Iterable[Prompt], count: int, seed: int) -> HeldOutSplit:
    """Split `prompts` into training prompts (iterate the result) and `count` held-out ones (its `held_out`).

    Raises:
        InputError: while iterating: there are no more than `count` different prompts.
    """
    return HeldOutSplit(prompts, count, seed)
