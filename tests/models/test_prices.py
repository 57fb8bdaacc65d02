import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.exchanges.record import Usage
from spiritsafe.models.endpoints import ENDPOINTS, endpoint_for, price_for
from spiritsafe.models.prices import OWN_HARDWARE, PRICES_VERSION, Prices, cost

PRICES = Prices(2.0, 10.0, "2026-01-01", 0.5)
counts = st.integers(0, 10**9)


def test_a_cost_is_tokens_times_price_and_cached_input_has_its_own() -> None:
    assert cost(Usage(1_000_000, 100_000), PRICES) == pytest.approx(3.0)
    assert cost(Usage(1_000_000, 100_000, None, 400_000), PRICES) == pytest.approx(2.4)
    assert cost(Usage(1_000_000, 100_000), PRICES, share=0.5) == pytest.approx(1.5)


@pytest.mark.parametrize("usage", [Usage(), Usage(5), Usage(None, 5)])
def test_what_is_not_counted_has_no_known_cost(usage: Usage) -> None:
    assert cost(usage, PRICES) is None


def test_an_unknown_price_is_not_zero_and_ones_own_hardware_is() -> None:
    assert cost(Usage(5, 5), None) is None
    assert cost(Usage(5, 5), OWN_HARDWARE) == 0.0


@given(counts, counts, counts)
def test_caching_never_costs_more_and_an_unknown_cache_price_errs_upwards(asked: int, out: int, cached: int) -> None:
    usage = Usage(asked, out, None, cached)
    known, unknown = cost(usage, PRICES), cost(usage, Prices(2.0, 10.0))
    full = cost(Usage(asked, out), PRICES)

    assert known is not None
    assert unknown is not None
    assert full is not None
    assert 0 <= known <= full * (1 + 1e-12)
    assert unknown == pytest.approx(full)


@pytest.mark.parametrize(
    ("endpoint", "model", "known"),
    [
        ("openai", "gpt-6-luna", True),
        ("openai", "gpt-6-luna-2026-09-22", True),
        ("openai", "gpt-6-luna-pro", False),
        ("anthropic", "claude-haiku-4-5-20251001", True),
        ("anthropic", "claude-haiku-4-5", True),
        ("deepseek", "deepseek-flash", True),
        ("groq", "openai/gpt-oss-20b", False),
        ("vllm", "anything", True),
    ],
)
def test_a_dated_snapshot_costs_what_its_model_costs(endpoint: str, model: str, known: bool) -> None:
    assert (price_for(endpoint_for(endpoint), model) is not None) == known


def test_every_listed_price_is_dated_and_no_newer_than_the_table() -> None:
    listed = [prices for endpoint in ENDPOINTS for prices in endpoint.prices.values()]

    assert listed
    for prices in listed:
        assert "2026-01-01" <= prices.version <= PRICES_VERSION
        assert 0 < (prices.cached_input_per_million or 0) < prices.input_per_million < prices.output_per_million
