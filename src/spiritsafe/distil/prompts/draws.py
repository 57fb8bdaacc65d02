"""Draws from word lists: seeded, without repeats, and with no memory of what was drawn.

The combinations of the lists are numbered, and a keyed permutation of the numbers (a Feistel network with cycle
walking; Black and Rogaway 2002, sections 4 and 5) says which comes first, second, and so on. The first 100 draws are
the same whether 100 or 1,000 are asked for, so a longer run asks again for nothing it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from math import prod

from spiritsafe.errors import InputError

_ROUNDS = 4


def permuted(index: int, size: int, seed: int) -> int:
    """Where the permutation of 0 .. size - 1 that `seed` names sends `index`."""
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        index = _feistel(index, half_bits, seed)
        if index < size:
            return index


def _feistel(index: int, half_bits: int, seed: int) -> int:
    mask = (1 << half_bits) - 1
    left, right = index >> half_bits, index & mask
    for round_number in range(_ROUNDS):
        digest = blake2b(f"{seed}:{round_number}:{right}".encode(), digest_size=32).digest()
        left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
    return left << half_bits | right


def draws(lists: Mapping[str, Sequence[str]], count: int, seed: int) -> Iterator[dict[str, str]]:
    """`count` different records, each with one word of every list.

    Raises:
        InputError: there are fewer combinations than that.
    """
    choices = {name: list(dict.fromkeys(words)) for name, words in lists.items()}
    total = prod(len(words) for words in choices.values())
    if count > total:
        raise InputError(
            f"got draw = {count}, wanted at most {total}, the combinations of the word lists "
            f"{', '.join(f'{name} ({len(words)})' for name, words in choices.items())}; lengthen the lists"
        )
    for number in range(count):
        yield _record(permuted(number, total, seed), choices)


def _record(number: int, choices: Mapping[str, Sequence[str]]) -> dict[str, str]:
    record = {}
    for name, words in choices.items():
        number, at = divmod(number, len(words))
        record[name] = words[at]
    return record
