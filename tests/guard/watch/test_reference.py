"""What is ordinary: written and read back whole, refused when it is not, and ranks that promise what they say."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.watch.worlds import little_log, little_reference, same, space

from spiritsafe.errors import InputError, StoreError
from spiritsafe.guard.watch.accounts import NAMES
from spiritsafe.guard.watch.calibrate import calibrate
from spiritsafe.guard.watch.reference import Ranks, read_reference
from spiritsafe.guard.watch.space import Space
from spiritsafe.stats.draws import bits, uniforms
from spiritsafe.text.embed import embed


def written(folder: Path) -> bytes:
    little_reference().write(folder / "reference")
    return (folder / "reference").read_bytes()


def npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def about(told: Any) -> bytes:
    return npz(about=np.frombuffer(orjson.dumps(told), np.uint8))


def one_array() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as folder:
        folder.writestr("about", "hello")
    return held.getvalue()


def test_a_reference_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path)

    assert same(read_reference(tmp_path / "reference"), little_reference())


def test_calibrating_twice_gives_the_same_reference() -> None:
    assert same(calibrate(little_log), little_reference())


def test_accounts_left_out_do_not_count(tmp_path: Path) -> None:
    names = sorted({one.account for one in little_log()})
    told = little_reference()
    fewer = calibrate(little_log, names[:5])

    assert fewer.segments["ordinary"].accounts == told.segments["ordinary"].accounts - 5
    assert same(fewer, calibrate(lambda: [one for one in little_log() if one.account not in names[:5]]))


def test_a_log_with_too_little_to_learn_from_is_refused() -> None:
    for log in ((), little_log()[:9]):
        with pytest.raises(InputError, match="wanted"):
            calibrate(lambda log=log: log)


NONE = {
    "nothing": b"",
    "text": b"hello\n",
    "a pickle": b"\x80\x04K\x01.",
    "one array": one_array(),
    "a zip of text": zipped(),
    "a number": about(1),
    "a list": about([]),
    "nothing in it": about({}),
    "no parts": about({"version": 1, "detectors": NAMES}),
    "another version": about({"version": 2, "detectors": NAMES}),
    "other detectors": about({"version": 1, "detectors": ["a"]}),
    "detectors of no kind": about({"version": 1, "detectors": 3}),
}


@pytest.mark.parametrize("data", NONE.values(), ids=NONE)
def test_a_file_that_is_no_reference_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "reference").write_bytes(data)

    with pytest.raises(StoreError, match="calibrate") as caught:
        read_reference(tmp_path / "reference")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="guard calibrate"):
        read_reference(tmp_path / "reference")


def test_a_damaged_reference_is_refused_or_says_the_same(tmp_path: Path) -> None:
    data, path = written(tmp_path), tmp_path / "reference"
    places = bits(1, 250) % np.uint64(len(data))
    refused = 0
    for number, place in enumerate(places.tolist()):
        damaged = data[:place] if number % 5 == 0 else data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        path.write_bytes(damaged)
        try:
            found = read_reference(path)
        except StoreError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
        else:
            assert same(found, little_reference())
    assert refused > 125


def test_a_space_is_read_back_as_it_was_and_places_prompts_alike() -> None:
    told = space()
    again = Space.from_bytes(told.to_bytes())
    vectors_ND = embed(["What is salt made of?", "Name a river."]).vectors_ND

    assert again.to_bytes() == told.to_bytes()
    assert np.array_equal(again.directions_dr, told.directions_dr)
    assert np.array_equal(again.fourier.features(vectors_ND), told.fourier.features(vectors_ND))


@given(st.binary(max_size=60) | st.integers(0, 2_000).map(lambda cut: space().to_bytes()[:cut]))
@settings(max_examples=60)
def test_bytes_that_are_no_space_are_refused(state: bytes) -> None:
    with pytest.raises(StoreError, match="no space of prompts"):
        Space.from_bytes(state)


@pytest.mark.parametrize("bandwidth", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_space_without_a_bandwidth_is_refused(bandwidth: float) -> None:
    state = space().to_bytes()
    with pytest.raises(StoreError, match="bandwidth"):
        Space.from_bytes(state[:8] + struct.pack("<d", bandwidth) + state[16:])


def test_a_space_of_few_prompts_has_few_cells_and_learns_the_same_again() -> None:
    vectors_ND = embed([f"Question {number} about salt" for number in range(40)]).vectors_ND

    assert Space.learn(vectors_ND).to_bytes() == Space.learn(vectors_ND.copy()).to_bytes()
    assert len(Space.learn(vectors_ND).centres_cd) == 5


def honest_rates(accounts: int, detectors: int, levels: list[float]) -> tuple[list[float], list[float]]:
    """How often honest accounts reach each level: by one detector, and by all of them together."""
    one, whole, tried = np.zeros(len(levels)), np.zeros(len(levels)), 0
    for seed in range(150):
        scores = uniforms(seed, (accounts + 100) * detectors).reshape(-1, detectors).astype(np.float32)
        # Most accounts show a request detector nothing: ties at 0.
        scores[:, 0] = np.maximum(scores[:, 0] - 0.9, 0.0)
        ps, all_together = Ranks.of(scores[:accounts]).p_values(scores[accounts:])
        one += [np.count_nonzero(ps[:, 1] <= level + 1e-12) for level in levels]
        whole += [np.count_nonzero(all_together <= level + 1e-12) for level in levels]
        tried += 100
    return (one / tried).tolist(), (whole / tried).tolist()


def test_a_detectors_p_value_is_reached_as_often_as_it_says() -> None:
    levels = [0.01, 0.02, 0.05, 0.2, 0.5]
    one, _ = honest_rates(99, 3, levels)

    assert one == pytest.approx(levels, rel=0.25, abs=0.003)


def test_all_detectors_together_are_reached_no_more_often_than_they_say() -> None:
    levels = [0.01, 0.02, 0.05, 0.2, 0.5]
    _, whole = honest_rates(99, 3, levels)

    assert all(rate <= 1.25 * level + 0.003 for rate, level in zip(whole, levels, strict=True)), whole


def test_ties_count_against_an_alarm() -> None:
    ranks = Ranks.of(np.zeros((50, 2), dtype=np.float32))
    ps, whole = ranks.p_values(np.zeros((1, 2), dtype=np.float32))

    assert ps.tolist() == [[1.0, 1.0]]
    assert whole.tolist() == [1.0]


@pytest.mark.parametrize(
    ("segment", "level", "days", "said"),
    [
        ("ordinary", 0.001, 0.1, "has 14 accounts in the reference, a level of 0.001 needs 999"),
        ("ordinary", 0.1, 0.1, ""),
        ("never seen", 0.1, 0.1, "'never seen' has 0 accounts"),
        ("ordinary", 0.1, 9.0, "this one is watched for 9.0"),
    ],
)
def test_a_reference_says_what_it_cannot_promise(segment: str, level: float, days: float, said: str) -> None:
    void = little_reference().void(segment, level, days)

    assert said in void
    assert bool(void) == bool(said)
    assert "\n" not in void
