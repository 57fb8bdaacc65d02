"""Local weights: loaded from a folder, asked greedily and by chance, with log-probabilities, and closed."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.checks.model import check_model
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Source
from spiritsafe.models.drawing import How, draw
from spiritsafe.models.local import Weights, load_outline, load_weights, require_chat_template
from spiritsafe.models.local_model import LocalModel, weights_sha256

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTEXT_TOKENS = 96
SOURCE = Source(endpoint="local", model="tiny", terms="open_weights", licence="MIT")
ASKED = (Message("user", "Say hi."),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights and a tokenizer of single bytes, as transformers saves them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(1)
    specials = ["<|im_start|>", "<|im_end|>"]
    tokens = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bpe = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(tokens)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=specials[0], eos_token=specials[1])
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,
    )
    path = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def weights(folder: Path) -> Weights:
    return load_weights(str(folder))


@pytest.fixture
def ask(weights: Weights) -> Callable[..., Exchange]:
    """Asks a fresh model once, with that sampling."""

    def once(messages: tuple[Message, ...] = ASKED, **sampling: Any) -> Exchange:
        model = LocalModel(weights, source=SOURCE)
        return asyncio.run(model.ask(Request(messages, Sampling(**({"max_tokens": 12} | sampling)))))

    return once


class Steps:
    """A module that wants to say `said`, and says with which ids it was called."""

    device = "cpu"

    def __init__(self, said: list[int], vocab: int = 16) -> None:
        self.said, self.vocab, self.calls = said, vocab, []

    def __call__(self, input_ids: Any, past_key_values: Any, use_cache: bool) -> Any:
        import torch
        from transformers.modeling_outputs import CausalLMOutputWithPast

        logits = torch.zeros(1, input_ids.shape[1], self.vocab)
        logits[0, -1, self.said[len(self.calls)]] = 4.0
        self.calls.append(input_ids[0].tolist())
        return CausalLMOutputWithPast(logits=logits, past_key_values=None)


def letters(ids: Any) -> str:
    return "".join("abcdefghijklmnop"[one] for one in ids)


def test_a_local_model_keeps_a_models_promises(weights: Weights) -> None:
    asyncio.run(check_model(lambda: LocalModel(weights, source=SOURCE)))


def test_a_greedy_answer_is_what_transformers_generates(weights: Weights, ask: Callable[..., Exchange]) -> None:
    tokenizer = weights.tokenizer
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Say hi."}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    asked = prompt["input_ids"].shape[1]
    full = weights.module.generate(**prompt, max_new_tokens=12, do_sample=False, pad_token_id=1)
    theirs = full[0, asked:].tolist()

    ours = ask()

    assert ours.answer == tokenizer.decode(theirs, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert (ours.usage.input_tokens, ours.usage.output_tokens) == (asked, len(theirs))
    assert ours.finish_reason == ("stop" if theirs[-1] == 1 else "length")


def test_a_seed_fixes_a_sampled_answer_whatever_was_drawn_before(ask: Callable[..., Exchange]) -> None:
    first = ask(temperature=1.5, seed=7).answer
    ask(temperature=1.5)

    assert ask(temperature=1.5, seed=7).answer == first
    assert len({ask(temperature=1.5, seed=seed).answer for seed in range(5)}) > 1


def test_a_nucleus_of_next_to_nothing_is_greedy(ask: Callable[..., Exchange]) -> None:
    assert ask(temperature=1.5, top_p=0.0, seed=3).answer == ask().answer


def test_only_the_nucleus_is_drawn_from() -> None:
    """The wanted token has 0.78 of the mass here, each of the fifteen others the same share of the rest."""

    def drawn(top_p: float) -> set[int]:
        hows = (How(1, frozenset(), temperature=1.0, top_p=top_p, seed=seed) for seed in range(60))
        return {one for how in hows for one in draw(Steps([5]), [0], how, decode=letters).ids}

    assert drawn(0.7) == {5}
    assert len(drawn(1.0)) > 5


def test_log_probabilities_are_the_models_own_and_cover_the_answer(
    weights: Weights, ask: Callable[..., Exchange]
) -> None:
    import torch

    exchange = ask(temperature=2.0, seed=1, top_logprobs=5, max_tokens=6)
    assert exchange.logprobs is not None
    assert exchange.logprobs.has_ids
    found = unpack(exchange.logprobs)
    prompt = weights.tokenizer.encode(
        weights.tokenizer.apply_chat_template(
            [{"role": "user", "content": "Say hi."}], tokenize=False, add_generation_prompt=True
        )
    )
    with torch.inference_mode():
        logits = weights.module(torch.tensor([[*prompt, *found.chosen_ids]])).logits[0, len(prompt) - 1 : -1]
    wanted = logits.log_softmax(-1).topk(5)

    assert (found.k, found.tokens) == (5, exchange.logprobs.tokens)
    assert weights.tokenizer.decode(list(found.chosen_ids), clean_up_tokenization_spaces=False) == exchange.answer
    assert list(found.ids) == wanted.indices.flatten().tolist()
    assert list(found.logprobs) == pytest.approx(wanted.values.flatten().tolist(), abs=1 / 256)


def test_the_first_stop_text_ends_the_answer_and_is_not_in_it() -> None:
    how = How(max_tokens=9, stop_ids=frozenset({15}), stop=("ef", "dx"), top_logprobs=2)
    drawn = draw(Steps([2, 3, 4, 5, 6]), [0], how, decode=letters)

    assert (drawn.text, drawn.finish_reason, drawn.written) == ("cd", "stop", 4)
    assert drawn.ids == [2, 3] == [position.token for position in drawn.positions]


def test_the_id_that_ends_an_answer_is_counted_and_not_in_it() -> None:
    module = Steps([2, 3, 15, 4])
    drawn = draw(module, [0, 1], How(max_tokens=9, stop_ids=frozenset({15})), decode=letters)

    assert (drawn.ids, drawn.text, drawn.finish_reason, drawn.written) == ([2, 3], "cd", "stop", 3)
    assert module.calls == [[0, 1], [2], [3]]


def test_an_answer_beyond_the_limit_is_cut_and_says_so() -> None:
    drawn = draw(Steps([2, 3, 4, 5]), [0], How(max_tokens=3, stop_ids=frozenset({15})), decode=letters)

    assert (drawn.text, drawn.finish_reason, drawn.written) == ("cde", "length", 3)


def test_an_answer_ends_where_the_context_does(ask: Callable[..., Exchange]) -> None:
    exchange = ask(temperature=9.0, seed=2, max_tokens=None)
    read, written = exchange.usage.input_tokens, exchange.usage.output_tokens

    assert read is not None
    assert written is not None
    assert (read + written, exchange.finish_reason) == (CONTEXT_TOKENS, "length")


def test_a_prompt_longer_than_the_context_is_refused(ask: Callable[..., Exchange]) -> None:
    with pytest.raises(UpstreamError, match=r"takes \d+ tokens and 'tiny' reads 96; shorten it") as caught:
        ask((Message("user", "x" * 200),))
    assert (caught.value.kind, caught.value.retryable) == ("refused", False)


@pytest.mark.parametrize(
    ("sampling", "told"),
    [
        ({"other": (("top_k", 5),)}, "do not know the sampling fields top_k"),
        ({"temperature": -1.0}, "temperature: got -1.0, wanted a number from 0 to 100"),
        ({"top_p": 1.5}, "top_p: got 1.5"),
        ({"max_tokens": 0}, "max_tokens: got 0"),
        ({"top_logprobs": 256}, "top_logprobs: got 256, wanted a number from 0 to 255"),
    ],
)
def test_sampling_that_local_weights_cannot_do_is_refused(
    ask: Callable[..., Exchange], sampling: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        ask(**sampling)


def test_a_loaded_model_carries_the_sha256_of_its_weights(folder: Path) -> None:
    model = LocalModel.load(str(folder), source=SOURCE)
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()

    assert model.source == replace(SOURCE, fingerprint=sha256)
    assert asyncio.run(model.ask(Request(ASKED, Sampling(max_tokens=1)))).source.fingerprint == sha256


def test_shards_count_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, data in (("b.safetensors", b"two"), ("a.safetensors", b"one"), ("c.txt", b"no")):
        (tmp_path / name).write_bytes(data)

    assert weights_sha256(tmp_path) == hashlib.sha256(b"onetwo").hexdigest()
    with pytest.raises(InputError, match="has no weight files"):
        weights_sha256(tmp_path / "nowhere")


def test_weights_come_in_the_dtype_asked_for_and_in_evaluation_mode(folder: Path, weights: Weights) -> None:
    import torch

    assert (weights.module.dtype, weights.module.training, weights.folder) == (torch.float32, False, folder)
    assert load_weights(str(folder), dtype="bfloat16").module.dtype == torch.bfloat16
    with pytest.raises(InputError, match="got dtype 'int3', wanted one of float32, bfloat16, float16"):
        load_weights(str(folder), dtype="int3")


def test_an_outline_is_had_of_a_folder_without_weights(folder: Path, weights: Weights, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())

    outline = load_outline(str(tmp_path))

    assert outline.module.num_parameters() == weights.module.num_parameters()
    assert not outline.module.training
    with pytest.raises(InputError, match="cannot load model"):
        load_weights(str(tmp_path))


def test_a_place_without_a_model_is_refused_with_what_to_give(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(InputError, match="is a file, wanted a folder in the layout of transformers"):
        load_weights(str(file))
    with pytest.raises(InputError, match=r"has no config\.json"):
        load_weights(str(tmp_path))
    with pytest.raises(InputError, match=r"there is no such folder\); give a folder .*smollm2-135m"):
        load_weights(str(tmp_path / "nowhere"))


def test_a_folder_that_transformers_cannot_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-type"}')
    with pytest.raises(InputError, match="cannot load model") as caught:
        load_weights(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_without_a_chat_template_cannot_be_asked(weights: Weights) -> None:
    class Bare:
        chat_template = None

    with pytest.raises(InputError, match="model 'tiny' has no chat template"):
        require_chat_template(Bare(), "tiny")
    with pytest.raises(InputError, match="has no chat template"):
        LocalModel(Weights(weights.module, Bare(), None), source=SOURCE)


@pytest.mark.slow
def test_the_embedded_model_knows_the_capital_of_france() -> None:
    model = LocalModel.load("smollm2-135m")
    asked = Request((Message("user", "What is the capital of France?"),), Sampling(max_tokens=32))
    exchange = asyncio.run(model.ask(asked))

    assert exchange.answer == "The capital of France is Paris."
    assert exchange.finish_reason == "stop"
