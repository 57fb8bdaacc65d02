import pytest

from spiritsafe.models.embedded import rows as embedded_rows
from spiritsafe.models.licences import WEIGHTS, plain_name, weights_of


@pytest.mark.parametrize(
    ("model", "licence"),
    [
        ("smollm2-135m", "Apache-2.0"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "Apache-2.0"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Apache-2.0"),
        ("smollm2:135m-instruct-q4_K_M", "Apache-2.0"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Apache-2.0"),
        ("qwen2.5:7b-instruct-q4_K_M", "Apache-2.0"),
        ("Qwen/Qwen3-8B", "Apache-2.0"),
        ("Qwen/Qwen3-4B-Instruct-2507-FP8", "Apache-2.0"),
        ("deepseek-ai/DeepSeek-R1", "MIT"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "MIT"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "Apache-2.0"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "Apache-2.0"),
        ("openai/gpt-oss-20b", "Apache-2.0"),
        ("accounts/openai/gpt-oss-20b", "Apache-2.0"),
    ],
)
def test_open_weights_are_known_in_every_usual_spelling(model: str, licence: str) -> None:
    row = weights_of(model)

    assert row is not None
    assert (row.terms, row.licence) == ("open_weights", licence)


@pytest.mark.parametrize(
    ("model", "terms", "word"),
    [
        ("Qwen/Qwen2.5-3B-Instruct", "unknown", "non-commercial"),
        ("Qwen/Qwen2.5-72B-Instruct", "unknown", "Built with Qwen"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "unknown", "Llama"),
        ("meta-llama/Llama-3.1-8B-Instruct", "unknown", "Llama"),
        ("llama3.2:1b", "unknown", "Llama"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "forbids", "improve other"),
        ("llama2:7b", "forbids", "improve other"),
        ("google/gemma-3-270m-it", "unknown", "derivative"),
    ],
)
def test_a_licence_with_conditions_is_not_open_and_says_what_it_asks(model: str, terms: str, word: str) -> None:
    row = weights_of(model)

    assert row is not None
    assert row.terms == terms
    assert word in row.note


@pytest.mark.parametrize(
    "model",
    [
        "someone/Qwen2.5-7B-Instruct",
        "qwen2.5-7b-uncensored",
        "Qwen/Qwen3-Max",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B-Chess",
        "gpt-6-luna",
        "",
    ],
)
def test_a_fine_tune_or_an_unlisted_model_is_not_taken_for_the_original(model: str) -> None:
    assert weights_of(model) is None


def test_every_embedded_model_is_known_here_under_its_own_licence() -> None:
    for row in embedded_rows():
        weights = weights_of(row.name)
        assert weights is not None
        assert (weights.terms, weights.licence) == (row.terms, row.licence)


def test_names_are_plain_and_open_ones_are_spelt_out() -> None:
    for row in WEIGHTS:
        for name in row.names:
            assert "*" in name or plain_name(name) == ("", name)
            assert row.terms != "open_weights" or "*" not in name
