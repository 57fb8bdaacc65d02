"""Keys: form, checksum and digest."""

import re

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.keys import KEY_BYTES, digest_of, hint_of, is_well_formed, new_key

secrets = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


def key_of(secret: bytes) -> str:
    return new_key(lambda count: secret)


@given(secrets)
def test_a_made_key_is_well_formed(secret: bytes) -> None:
    assert is_well_formed(key_of(secret).encode())


@given(secrets, secrets)
def test_keys_are_equal_only_where_their_secrets_are(one: bytes, other: bytes) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(secrets, st.integers(0, 51), st.sampled_from(b"abcXYZ019-_ \x00\xff"))
def test_one_wrong_character_is_noticed(secret: bytes, at: int, wrong: int) -> None:
    key = bytearray(key_of(secret).encode())
    changed = key[at] != wrong
    key[at] = wrong

    # The last of the 43 characters carries four bits of padding-free base64, so no other spelling of it is accepted.
    assert is_well_formed(bytes(key)) != changed


@given(st.binary(max_size=80))
def test_anything_else_is_refused_without_an_error(key: bytes) -> None:
    assert not is_well_formed(key)


@given(secrets, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_digest_depends_on_the_pepper_and_shows_nothing_of_the_key(secret: bytes, one: bytes, other: bytes) -> None:
    key = key_of(secret).encode()

    assert (digest_of(one, key) == digest_of(other, key)) == (one == other)
    assert len(digest_of(one, key)) == 32
    assert key[3:11] not in digest_of(one, key)


def test_what_is_shown_of_a_key_is_its_beginning() -> None:
    key = new_key()

    assert re.fullmatch(r"ss-.{4}…", hint_of(key))
    assert key.startswith(hint_of(key)[:-1])
