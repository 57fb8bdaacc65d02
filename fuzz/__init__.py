"""Coverage-guided fuzzing of whatever reads bytes from outside: `python fuzz/run.py --seconds 60`.

requests   what the gateway takes for requests, h11 reads as the same requests
answers    what it takes for an upstream's answer, h11 reads as the same answer
bodies     what it accepts as a JSON object, Python's json reads as the same one, without a key twice
folds      a stream put together is the same however it was cut, and always JSON that its reader reads
shaping    an edited stream is the same however it was cut, and holds nothing that was to be withheld
segments   a damaged log gives its frames as they were, or says that it is damaged
records    a record of the log reads back as it was written; anything else is an error by name

A target is a module with `check(data)`, which raises where something is wrong, and `SEEDS` and `WORDS` to begin with.
It knows nothing of the fuzzer, so `tests/test_fuzz.py` runs it without one.
"""

from __future__ import annotations

TARGETS = ("requests", "answers", "bodies", "folds", "shaping", "segments", "records")


def parts(data: bytes) -> tuple[int, list[int], bytes]:
    """A choice, places to cut at, and the rest: what a target needs besides its bytes, out of the first of them."""
    choice, count = data[0] if data else 0, data[1] % 8 if len(data) > 1 else 0
    cuts = [int.from_bytes(data[2 + 2 * at : 4 + 2 * at], "little") for at in range(count)]
    return choice, cuts, data[2 + 2 * count :]


def seed(choice: int, cuts: list[int], data: bytes) -> bytes:
    """What `parts` takes apart."""
    return bytes([choice, len(cuts)]) + b"".join(cut.to_bytes(2, "little") for cut in cuts) + data
