import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.models.endpoints import (
    ENDPOINTS,
    UNREAD,
    Endpoint,
    checked_url,
    endpoint_for,
    is_loopback,
    is_private,
    price_for,
    terms_for,
)
from spiritsafe.models.prices import OWN_HARDWARE
from spiritsafe.wire import DIALECTS

every_row = pytest.mark.parametrize("row", list(ENDPOINTS), ids=lambda row: row.name)


@every_row
def test_a_row_is_sound(row: Endpoint) -> None:
    assert checked_url(row.base_url) == row.base_url
    assert row.base_url.startswith("https://") or is_loopback(row.base_url)
    assert row.dialect in DIALECTS.names()
    assert row.own == (row.terms is None) == is_loopback(row.base_url)
    assert row.own or (row.key_env or "").endswith("_API_KEY")
    assert row.limits.max_in_flight >= 1
    assert row.batch_share is None or 0 < row.batch_share < 1


@every_row
def test_terms_that_are_not_a_licence_are_dated_and_say_where_they_are(row: Endpoint) -> None:
    if row.terms is not None:
        assert row.terms.as_of
        assert row.terms.url.startswith("https://")
        assert row.terms.note


@pytest.mark.parametrize(
    ("name", "model", "terms", "licence"),
    [
        ("openai", "gpt-6-luna", "forbids", None),
        ("anthropic", "claude-haiku-5-5", "forbids", None),
        ("deepseek", "deepseek-flash", "permits", None),
        ("openrouter", "deepseek/deepseek-flash", "unknown", None),
        ("groq", "openai/gpt-oss-20b", "unknown", "Apache-2.0"),
        ("vllm", "Qwen/Qwen3-8B", "open_weights", "Apache-2.0"),
        ("vllm", "meta-llama/Llama-3.1-8B-Instruct", "unknown", "Llama-3.x"),
        ("ollama", "gemma3:1b", "unknown", "Gemma"),
        ("llamacpp", "anything", "unknown", None),
        ("embedded", "smollm2-135m", "open_weights", "Apache-2.0"),
    ],
)
def test_the_provider_decides_or_for_ones_own_server_the_licence(
    name: str, model: str, terms: str, licence: str | None
) -> None:
    known = terms_for(endpoint_for(name), model)

    assert (known.terms, known.licence) == (terms, licence)


def test_open_weights_are_dated_like_any_terms() -> None:
    assert terms_for(endpoint_for("embedded"), "smollm2-135m").as_of


def test_an_endpoint_of_ones_own_has_unread_terms_and_no_price() -> None:
    endpoint = endpoint_for("mine", "https://example.org/v1/", "anthropic", "MY_KEY")

    assert (endpoint.base_url, endpoint.dialect, endpoint.key_env) == ("https://example.org/v1", "anthropic", "MY_KEY")
    assert terms_for(endpoint, "smollm2-135m").terms == "unknown"
    assert price_for(endpoint, "smollm2-135m") is None


def test_a_ban_moves_with_the_row_and_a_permission_and_prices_do_not() -> None:
    banned = endpoint_for("openai", "https://proxy.example.org/v1")
    allowed = endpoint_for("deepseek", "https://proxy.example.org/v1")

    assert terms_for(banned, "gpt-6-luna").terms == "forbids"
    assert allowed.terms == UNREAD
    assert price_for(allowed, "deepseek-flash") is None
    assert price_for(banned, "gpt-6-luna") is None
    assert (banned.dialect, banned.key_env) == ("openai", "OPENAI_API_KEY")


def test_naming_a_rows_own_address_changes_nothing() -> None:
    assert endpoint_for("deepseek", "https://api.deepseek.com/v1/") == ENDPOINTS.get("deepseek")


@pytest.mark.parametrize("base_url", ["http://localhost:9000/v1", "http://10.1.2.3:8000/v1", "http://gpu-box/v1"])
def test_a_server_of_ones_own_stays_one_within_ones_own_network(base_url: str) -> None:
    endpoint = endpoint_for("vllm", base_url)

    assert price_for(endpoint, "Qwen/Qwen3-8B") == OWN_HARDWARE
    assert terms_for(endpoint, "Qwen/Qwen3-8B").terms == "open_weights"


def test_a_server_out_on_the_internet_is_somebodys_service() -> None:
    endpoint = endpoint_for("vllm", "https://pod.example.com/v1")

    assert price_for(endpoint, "Qwen/Qwen3-8B") is None
    assert terms_for(endpoint, "Qwen/Qwen3-8B").terms == "unknown"


def test_an_unknown_endpoint_names_the_known_and_the_other_way() -> None:
    with pytest.raises(InputError, match=r"unknown endpoint 'opnai'; known: openai, .*; or give base_url and dialect"):
        endpoint_for("opnai")


@pytest.mark.parametrize(
    "base_url", ["", "api.example.org/v1", "ftp://x/v1", "http://", "http://[::1/v1", "http://x:port/", "http://x/?a=b"]
)
def test_what_is_no_address_is_shown_with_an_example(base_url: str) -> None:
    with pytest.raises(InputError, match=r"got base_url .*, wanted an address such as"):
        endpoint_for("mine", base_url)


def test_an_address_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError) as raised:
        endpoint_for("mine", "https://user:geheim@example.org/v1")

    assert "geheim" not in str(raised.value)


@given(st.text())
def test_any_text_is_an_address_or_an_input_error(text: str) -> None:
    for base_url in (text, f"http://{text}"):
        try:
            assert not checked_url(base_url).endswith("/")
        except InputError:
            continue


@pytest.mark.parametrize(
    ("base_url", "private"),
    [("http://127.0.0.1/", True), ("http://[::1]:80/", True), ("http://8.8.8.8/", False), ("http://a.lan/", True)],
)
def test_ones_own_network_is_told_from_the_internet(base_url: str, private: bool) -> None:
    assert is_private(base_url) == private
