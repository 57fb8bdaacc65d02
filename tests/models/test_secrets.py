import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.models.secrets import HIDDEN, Secret, read_key

KEY = "sk-proj-AbC_123-xyz789"


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret(KEY)

    assert KEY not in f"{secret!r} {secret} {[secret]}"
    assert (repr(secret), secret.reveal(), repr(Secret(None))) == (HIDDEN, KEY, "no key")


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-proj-****x789.",
        f"Authorization: Bearer {KEY}",
        "bad token gsk_0123456789abcdef",
        f"{KEY}{KEY}",
    ],
)
def test_neither_the_key_nor_what_looks_like_one_is_left_in_a_text(text: str) -> None:
    clean = Secret(KEY).out_of(text)

    assert HIDDEN in clean
    assert KEY not in clean
    assert "x789" not in clean
    assert "0123456789abcdef" not in clean


@pytest.mark.parametrize("text", ["Incorrect API key provided.", "Bearer authentication required", "task_id is wrong"])
def test_plain_words_are_left_alone(text: str) -> None:
    assert Secret(KEY).out_of(text) == text


@given(st.binary(), st.binary())
def test_the_key_is_taken_out_of_a_body_and_nothing_else_is(before: bytes, after: bytes) -> None:
    secret = Secret(KEY)

    assert KEY.encode() not in secret.out_of_body(before + KEY.encode() + after)
    assert Secret(None).out_of_body(before) == before


def test_a_key_is_read_from_its_variable() -> None:
    assert read_key("OUR_KEY", {"OUR_KEY": f" {KEY}\n"}).reveal() == KEY
    assert read_key(None, {}).reveal() is None


@pytest.mark.parametrize("environ", [{}, {"OUR_KEY": ""}, {"OUR_KEY": "  "}])
def test_a_missing_key_names_the_variable_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"\$OUR_KEY is not set; set it to the API key"):
        read_key("OUR_KEY", environ)


@pytest.mark.parametrize("text", ["two words", "new\nline", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InputError) as raised:
        read_key("OUR_KEY", {"OUR_KEY": text})

    assert text not in str(raised.value)
