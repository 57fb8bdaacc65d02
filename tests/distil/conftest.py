"""A tokenizer and models small enough to train in a test: random weights, a real architecture, a real template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.prompt import CollectedRow, make_prompt, row_to_json
from spiritsafe.distil.recipe import Recipe, parse
from spiritsafe.distil.run import RunFolder, write_lines
from spiritsafe.exchanges.record import Exchange, Message

TEXTS = [
    "Paris is the capital of France. Oslo is the capital of Norway.",
    "What is the capital of France? Answer with one word, please.",
    'Extract the fields as JSON: {"name": "Ada", "amount": 12, "city": "Oslo"}',
    "The user asks and the assistant answers. You are a careful clerk.",
    "Zoë said: naïve café, 10 % off, a < b && c > d.",
]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(chat_template: str | None = CHATML, *, specials: tuple[str, ...] = ()) -> Any:
    """A byte-level BPE tokenizer of a few hundred tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    known = ["<|pad|>", "<|im_start|>", "<|im_end|>", *specials]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=known, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def make_model(vocab: int, *, seed: int = 0, layers: int = 2, tied: bool = True, width: int = 32) -> Any:
    """A Llama with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # so small that a second thread only waits
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The ChatML tokenizer; tests that change one make their own with `new_tokenizer`."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def new_tokenizer() -> Callable[..., Any]:
    """Makes a tokenizer with another chat template or more special tokens."""
    return make_tokenizer


@pytest.fixture(scope="session")
def new_model() -> Callable[..., Any]:
    """Makes a model for a vocabulary size."""
    return make_model


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a four-layer model and the ChatML tokenizer, as transformers saves them."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = make_tokenizer()
    make_model(len(tokenizer), layers=4).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_row(question: str, answer: str, **more: Any) -> CollectedRow:
    """A kept exchange of a teacher that saw a system prompt first."""
    prompt = make_prompt((Message("user", question),))
    seen = (Message("system", "You are a careful clerk."), *prompt.messages)
    return CollectedRow(prompt, Exchange(f"e-{prompt.id}", 0.0, "chat", seen, answer=answer, **more))


@pytest.fixture(scope="session")
def new_row() -> Callable[..., CollectedRow]:
    """Makes a kept exchange of question and answer."""
    return make_row


@pytest.fixture
def new_run(tmp_path: Path, student_folder: Path) -> Callable[..., tuple[RunFolder, Recipe]]:
    """Makes a run folder with kept rows and a recipe for the tiny student; sections may be overridden."""

    def make(rows: Sequence[CollectedRow], **sections: Any) -> tuple[RunFolder, Recipe]:
        run = RunFolder(tmp_path / "run")
        write_lines(run.curated, map(row_to_json, rows))
        raw = {
            "name": "tiny",
            "teacher": {"endpoint": "scripted", "model": "clerk"},
            "student": {"model": str(student_folder)},
            "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
            "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
            "train": {"epochs": 1, "threads": 1},
        }
        return run, parse(raw | sections, tmp_path / "recipe.toml")

    return make
