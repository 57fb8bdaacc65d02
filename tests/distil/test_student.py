"""Students: loaded, cut, adapted and saved so that plain transformers runs them and stops where they were taught to."""

import pytest
import torch

from spiritsafe.distil.recipe import Lora, Student
from spiritsafe.distil.student import (
    cut_layers,
    load_student,
    make_it_stop,
    outline_student,
    pad_id_of,
    save_student,
    with_lora,
)
from spiritsafe.errors import InputError, StoreError

IDS = torch.arange(10, 30)[None]


def test_a_cut_student_has_the_kept_layers_in_order(student_folder) -> None:
    whole, _ = load_student(Student(model=str(student_folder)))
    cut, _ = load_student(Student(model=str(student_folder), layers=(0, 3)))

    assert cut.config.num_hidden_layers == 2
    assert [layer.self_attn.layer_idx for layer in cut.model.layers] == [0, 1]
    for kept, place in zip(cut.model.layers, (0, 3), strict=True):
        for ours, theirs in zip(kept.parameters(), whole.model.layers[place].parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_cut_student_generates_with_its_cache_as_without(student_folder) -> None:
    cut, _ = load_student(Student(model=str(student_folder), layers=(1, 2, 3)))

    with_cache, without = (
        cut.generate(IDS, max_new_tokens=5, do_sample=False, use_cache=use_cache) for use_cache in (True, False)
    )

    assert torch.equal(with_cache, without)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layers", [(), (0, 3)])
def test_an_outline_has_the_shapes_of_the_student_and_holds_no_numbers(
    new_model, new_tokenizer, tmp_path, tied: bool, layers: tuple[int, ...]
) -> None:
    new_model(400, layers=4, tied=tied).save_pretrained(tmp_path)
    new_tokenizer().save_pretrained(tmp_path)
    student = Student(model=str(tmp_path), layers=layers)

    whole, outline = load_student(student), outline_student(student)

    shapes = [{name: weight.shape for name, weight in one.model.named_parameters()} for one in (whole, outline)]
    assert shapes[0] == shapes[1]
    assert {weight.device.type for weight in outline.model.parameters()} == {"meta"}
    assert outline.model.config.num_hidden_layers == whole.model.config.num_hidden_layers
    assert outline.model.generation_config.eos_token_id == whole.model.generation_config.eos_token_id
    assert outline.tokenizer.chat_template == whole.tokenizer.chat_template


def test_lists_with_an_entry_a_layer_are_cut_with_the_layers() -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    kinds = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=64,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=2,
            layer_types=kinds,
            use_sliding_window=True,
            sliding_window=4,
        )
    )

    cut_layers(model, (0, 2, 3))

    assert model.config.layer_types == [kinds[0], kinds[2], kinds[3]]
    assert model(IDS[:, :5]).logits.shape == (1, 5, 64)


@pytest.mark.parametrize("layers", [(0, 4), (-1,), (1, 1)])
def test_layers_that_are_not_there_are_refused_with_how_many_there_are(student_folder, layers) -> None:
    for load in (load_student, outline_student):
        with pytest.raises(InputError, match=r"student\.layers: got .*, wanted different numbers from 0 to 3"):
            load(Student(model=str(student_folder), layers=layers))


def test_a_student_without_a_chat_template_is_refused(new_tokenizer, new_model, tmp_path) -> None:
    tokenizer = new_tokenizer(None)
    new_model(400).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    with pytest.raises(InputError, match="has no chat template"):
        load_student(Student(model=str(tmp_path)))


THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"
)


@pytest.mark.parametrize(("think", "off"), [("drop", True), ("keep", False)])
def test_a_student_that_does_not_think_is_prompted_so_by_everyone(
    new_tokenizer, new_model, tmp_path, think, off: bool
) -> None:
    from transformers import AutoTokenizer

    new_model(400).save_pretrained(tmp_path / "base")
    new_tokenizer(THINKS).save_pretrained(tmp_path / "base")
    save_student(*load_student(Student(model=str(tmp_path / "base"), think=think)), tmp_path / "student")

    saved = AutoTokenizer.from_pretrained(tmp_path / "student")

    asked = [{"role": "user", "content": "Hi"}]
    prompt = saved.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("<think></think>") == off


@pytest.mark.parametrize(("system", "start"), [("", "<|im_start|>system\n<|im_end|>"), (None, "<|im_start|>user")])
def test_a_student_is_prompted_by_everyone_as_it_was_trained(student_folder, tmp_path, system, start) -> None:
    from transformers import AutoTokenizer

    student = load_student(Student(model=str(student_folder), layers=(0,), system=system))
    save_student(*student, tmp_path / "student")

    asked = [{"role": "user", "content": "Hi"}]
    saved = AutoTokenizer.from_pretrained(tmp_path / "student")
    assert saved.apply_chat_template(asked, tokenize=False).startswith(start)


def test_a_saved_student_loads_with_plain_transformers_and_says_the_same(student_folder, tmp_path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    student = load_student(Student(model=str(student_folder), layers=(0, 1)))
    save_student(*student, tmp_path / "student", {"train.json": b"{}"})

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "student")

    assert torch.equal(model(IDS).logits, student.model(IDS).logits)
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.generation_config.pad_token_id == tokenizer.convert_tokens_to_ids("<|pad|>")
    assert tokenizer.chat_template == student.tokenizer.chat_template
    assert (tmp_path / "student" / "train.json").read_bytes() == b"{}"
    assert not list((tmp_path / "student").glob("*.bin"))
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_saving_again_replaces_the_folder(student_folder, tmp_path) -> None:
    student = load_student(Student(model=str(student_folder)))
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "old").touch()

    save_student(*student, tmp_path / "student")

    assert not (tmp_path / "student" / "old").exists()


def test_a_student_that_cannot_be_written_is_an_error_and_leaves_nothing(student_folder, tmp_path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"cannot write student .*; make room there"):
        save_student(*load_student(Student(model=str(student_folder))), tmp_path / "file" / "student")


def test_adapters_are_merged_when_saved(student_folder, tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    model, tokenizer = load_student(Student(model=str(student_folder)))
    before = model(IDS).logits
    adapted = with_lora(model, Lora(rank=4), 0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    said = adapted(IDS).logits

    save_student(adapted, tokenizer, tmp_path / "student")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "student")

    assert not torch.allclose(said, before, atol=1e-2)
    torch.testing.assert_close(saved(IDS).logits, said, rtol=1e-4, atol=1e-4)
    assert not (tmp_path / "student" / "adapter_config.json").exists()


def test_adapters_start_alike_for_one_seed(student_folder) -> None:
    def starts(seed: int) -> list[torch.Tensor]:
        model, _ = load_student(Student(model=str(student_folder)))
        return [w.detach() for n, w in with_lora(model, Lora(rank=4), seed).named_parameters() if "lora_A" in n]

    assert all(torch.equal(a, b) for a, b in zip(starts(1), starts(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(starts(1), starts(2), strict=True))


def test_padding_is_never_the_stop_token_where_another_token_will_do(new_tokenizer, new_model) -> None:
    tokenizer = new_tokenizer()
    tokenizer.pad_token = "<|im_end|>"
    model = new_model(400)

    make_it_stop(model, tokenizer)

    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.pad_token == "<|im_start|>"
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_with_nothing_else_to_pad_with_the_stop_token_pads(new_tokenizer) -> None:
    tokenizer = new_tokenizer()
    tokenizer.pad_token, tokenizer.bos_token = None, None

    assert pad_id_of(tokenizer, tokenizer.eos_token_id) == tokenizer.eos_token_id
