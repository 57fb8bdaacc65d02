"""The check: each thing that can be wrong is found, named and stops the run; and what is right passes."""

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest

from spiritsafe.distil.check import check, inspect
from spiritsafe.distil.findings import Inspected, answers_come_back
from spiritsafe.distil.memory import available_bytes, memory_need
from spiritsafe.distil.pages.check import ansi, check_page, shown_row
from spiritsafe.distil.recipe import Lora, Train
from spiritsafe.distil.rows import token_rows
from spiritsafe.distil.stages import Sitting, do
from spiritsafe.distil.student import outline_student
from spiritsafe.distil.students import train_student
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.errors import InputError
from spiritsafe.exchanges.logprobs import Position, pack


@pytest.fixture
def rows(new_row):
    return [new_row(f"What is the capital of {land}?", city) for land, city in (("France", "Paris"), ("Oslo", "no"))]


def plenty() -> float:
    return 64e9


def findings_of(recipe, rows, **more):
    """Findings by name; the first words of a name will do."""
    summary = inspect(recipe, rows, *outline_student(recipe.student), available=more.get("available", plenty))
    return {one.name: one for one in summary.findings}


def the(findings, start: str):
    (found,) = [one for name, one in findings.items() if name.startswith(start)]
    return found


def test_rows_as_they_should_be_pass_and_leave_summary_and_page(new_run, rows) -> None:
    run, recipe = new_run(rows)

    summary = check(run, recipe, available=plenty)

    assert summary.failed == ()
    assert run.is_current("check", recipe)
    kept = json.loads(run.summary("check").read_bytes())["findings"]
    assert [one["name"] for one in kept] == [one.name for one in summary.findings]
    assert all(one["passed"] is not False and one["found"] and one["wanted"] for one in kept)
    page = run.check_page.read_text()
    assert page.count('<span class="stop">&lt;|im_end|&gt;</span>') == 2
    assert "All checks passed" in page


def test_a_failed_finding_stops_the_run_in_one_line_that_says_what_to_do(new_run, rows, new_row) -> None:
    run, recipe = new_run([*rows, new_row("Say it.", "")])

    with pytest.raises(InputError) as stopped:
        check(run, recipe, available=lambda: 1e6)

    said = str(stopped.value)
    assert "\n" not in said
    assert "rows with an empty answer: 1 of 3 (33.3%), wanted none: add the curator 'empty'" in said
    assert "memory: about" in said
    assert not run.summary("check").exists()
    assert "2 of 10 checks failed; training was not started." in run.check_page.read_text()


def test_a_failed_check_takes_back_what_an_earlier_one_passed(new_run, rows, tmp_path) -> None:
    run, recipe = new_run(rows)
    check(run, recipe, available=plenty)

    with pytest.raises(InputError, match="check failed"):
        check(run, recipe, available=lambda: 1e6)

    assert not run.is_current("check", recipe)
    with pytest.raises(InputError, match="has no check stage for this recipe yet"):
        do("train", Sitting(recipe, "recipe.toml", run, tmp_path / "ledger", False, print))


def too_large(folder, tokenizer) -> str:
    """A folder that describes a model of 70 billion weights and has none of them."""
    from transformers import LlamaConfig

    shape = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64}
    LlamaConfig(**shape, num_key_value_heads=8, vocab_size=128_256, tie_word_embeddings=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_student_that_is_too_large_is_refused_before_its_weights_are_looked_for(
    new_run, rows, tokenizer, tmp_path
) -> None:
    model = too_large(tmp_path / "large", tokenizer)
    run, whole = new_run(rows, student={"model": model})
    _, cut = new_run(rows, student={"model": model, "layers": [0, 79]})

    def looked(recipe) -> None:
        check(run, recipe, available=lambda: 100e9)

    with pytest.raises(InputError, match=r"check failed: memory: about 13\d\d\.\d GB .* wanted at most 100\.0 GB"):
        looked(whole)
    looked(cut)


def test_a_teacher_that_is_too_large_is_refused_before_its_weights_are_looked_for(
    new_run, rows, tokenizer, tmp_path
) -> None:
    teacher = {"endpoint": "local", "model": too_large(tmp_path / "large", tokenizer)}
    run, recipe = new_run(rows, teacher=teacher, train={"loss": "jsd"})

    with pytest.raises(InputError, match=r"check failed: memory: about 3\d\d\.\d GB"):
        check(run, recipe, available=plenty)


def test_too_many_rows_over_the_length_fail(new_run, rows, new_row) -> None:
    _, recipe = new_run(rows, train={"max_length": 100}, check={"truncated_share": 0.4})
    long = new_row("Say it.", "no " * 200)

    assert the(findings_of(recipe, [*rows, long]), "rows over max_length").passed
    failed = the(findings_of(recipe, [*rows, long, long]), "rows over max_length")
    assert not failed.passed
    assert failed.found == "2 of 4 (50.0%)"


def test_an_answer_that_holds_the_stop_token_fails(new_run, rows, new_row) -> None:
    _, recipe = new_run(rows)
    broken = new_row("Say it.", "Paris<|im_end|>Oslo")

    assert the(findings_of(recipe, rows), "rows whose last").passed
    assert not the(findings_of(recipe, [*rows, broken]), "rows whose last").passed


def test_an_answer_that_the_tokenizer_changes_fails(new_run, rows, new_row, new_tokenizer, new_model) -> None:
    from tokenizers import normalizers

    _, recipe = new_run(rows)
    tokenizer = new_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()

    summary = inspect(recipe, [new_row("Say it.", "no"), new_row("Say it!", "Paris")], new_model(400), tokenizer)

    assert the({one.name: one for one in summary.findings}, "rows whose answer comes back").found == "1 of 2 (50.0%)"


@pytest.mark.parametrize("answer", ["Paris", ""])
def test_only_the_answer_and_the_stop_token_may_be_supervised(new_run, new_row, tokenizer, answer: str) -> None:
    row = new_row("Say it.", answer)
    _, recipe = new_run([row])
    template = ChatTemplate(tokenizer)
    (tokens,) = token_rows([row], template, recipe.student, max_length=100)
    ids = [int(one) for one in tokens.ids]
    junk = tokenizer.encode("Oslo")

    def passes(**changed) -> bool | None:
        return answers_come_back(Inspected([row], [replace(tokens, **changed)], template, recipe)).passed

    assert passes()
    assert not passes(start=tokens.start - 1)  # a token of the prompt is supervised too
    assert not passes(ids=np.asarray([*ids[: tokens.start], *junk, *ids[tokens.start :]]))
    assert not passes(ids=np.asarray([*ids[:-1], *junk]))  # the last is not the stop token
    assert not passes(ids=np.asarray([*ids, *junk]))


SPACED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}:{% if m.role == 'assistant' %}{{ lead }}{% endif %}{{ m.content }}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}"
)


@pytest.mark.parametrize(("lead", "passed"), [("", True), (" ", True), ("Sure: ", False)])
def test_a_template_may_put_white_space_before_an_answer_and_no_words(
    new_run, new_row, new_tokenizer, lead: str, passed: bool
) -> None:
    rows = [new_row("Say it.", "Paris"), new_row("Say no.", "no")]
    _, recipe = new_run(rows)
    template = ChatTemplate(new_tokenizer(f"{{% set lead = {lead!r} %}}{SPACED}"))
    tokens = token_rows(rows, template, recipe.student, max_length=100)

    assert all(
        template.decode(one.ids).endswith(f"{lead}{row.exchange.answer}<|im_end|>")
        for one, row in zip(tokens, rows, strict=True)
    )
    assert answers_come_back(Inspected(rows, tokens, template, recipe)).passed is passed


def test_reasoning_that_the_tokenizer_changes_fails(new_run, new_row, new_tokenizer, student_folder) -> None:
    from tokenizers import normalizers

    row = new_row("Say it.", "no", reasoning="So: Paris")
    _, recipe = new_run([row], student={"model": str(student_folder), "think": "keep"})

    def passed(tokenizer) -> bool | None:
        template = ChatTemplate(tokenizer)
        tokens = token_rows([row], template, recipe.student, max_length=200)
        return answers_come_back(Inspected([row], tokens, template, recipe)).passed

    lowering = new_tokenizer()
    lowering.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert passed(new_tokenizer())
    assert not passed(lowering)


@pytest.mark.parametrize(
    ("think", "answer", "reasoning", "passed"),
    [
        ("drop", "Paris", "So:", True),
        ("keep", "Paris", "So:", True),
        ("keep", "Paris", None, True),
        ("drop", "<think>So:</think>Paris", None, False),
        ("keep", "<think>So:</think>Paris", None, False),
    ],
)
def test_think_tags_are_where_the_recipe_says(
    new_run, new_row, student_folder, think: str, answer: str, reasoning: str | None, passed: bool
) -> None:
    row = new_row("Say it.", answer, reasoning=reasoning)
    _, recipe = new_run([row], student={"model": str(student_folder), "think": think})

    assert the(findings_of(recipe, [row]), "rows with think tags").passed is passed


def logprobs_of(tokenizer, answer: str, shift: int = 0, stop: tuple[int, ...] = ()):
    ids = [*(one + shift for one in tokenizer.encode(answer, add_special_tokens=False)), *stop]
    return pack([Position(one, log(0.9), [(one, log(0.9)), (5, log(0.05))]) for one in ids])


def test_ids_that_read_as_the_answer_pass_and_distinct_ones_are_counted(new_run, rows, tokenizer) -> None:
    _, recipe = new_run(rows, train={"loss": "topk_forward_kl"})
    with_ids = [
        replace(row, exchange=replace(row.exchange, logprobs=logprobs_of(tokenizer, row.exchange.answer)))
        for row in rows
    ]

    found = the(findings_of(recipe, [*with_ids, rows[0]]), "log-probabilities")

    assert found.passed
    assert "2 of 3 rows have ids, 0 of them read as another answer" in found.found
    assert "2 rows usable" in found.found
    assert "1 because the exchange has no log-probabilities" in found.found


@pytest.mark.parametrize("with_stop", [True, False])
def test_only_ids_that_an_answer_shows_count_as_verified(new_run, rows, tokenizer, with_stop: bool) -> None:
    _, recipe = new_run(rows, train={"loss": "topk_forward_kl"})
    stop = (tokenizer.eos_token_id,) if with_stop else ()
    with_ids = [
        replace(row, exchange=replace(row.exchange, logprobs=logprobs_of(tokenizer, row.exchange.answer, stop=stop)))
        for row in rows
    ]
    shown = {one for row in rows for one in tokenizer.encode(row.exchange.answer)}

    found = the(findings_of(recipe, with_ids), "log-probabilities")

    assert found.passed
    assert f"; {len(shown)} distinct ids verified;" in found.found


def test_ids_of_another_vocabulary_fail(new_run, rows, tokenizer) -> None:
    _, recipe = new_run(rows, train={"loss": "topk_forward_kl"})
    foreign = [
        replace(row, exchange=replace(row.exchange, logprobs=logprobs_of(tokenizer, row.exchange.answer, shift)))
        for row, shift in zip(rows, (1, 10_000), strict=True)
    ]

    found = the(findings_of(recipe, foreign), "log-probabilities")

    assert not found.passed
    assert "2 of them read as another answer" in found.found


def test_a_loss_over_log_probabilities_without_any_fails(new_run, rows) -> None:
    _, recipe = new_run(rows, train={"loss": "topk_forward_kl"})

    assert not the(findings_of(recipe, rows), "log-probabilities").passed


def test_budgets_need_rows_of_their_own(new_run, rows) -> None:
    def passed(*budgets: int) -> bool | None:
        _, recipe = new_run(rows, budgets=list(budgets))
        return the(findings_of(recipe, rows), "rows for each budget").passed

    assert passed(1, 2) is True
    assert passed(1, 5) is None
    assert passed(2, 5) is False
    assert passed(3, 5) is False


def test_a_budget_that_is_short_of_rows_is_a_warning_that_is_told(new_run, rows, tmp_path) -> None:
    run, recipe = new_run(rows, budgets=[1, 5], check={"memory_gb": 64})
    run.finish("curate", recipe, {})
    said: list[str] = []

    do("check", Sitting(recipe, "recipe.toml", run, tmp_path / "ledger", False, said.append))

    warning = (
        "check: warning: rows for each budget: 1 of 1, 2 of 5, wanted as many as the budget, and more than for the one "
        "before: a student will learn from fewer rows than its budget; 2 exchanges were kept: collect more prompts"
    )
    assert said[0].startswith(warning)
    assert said[1].endswith(f"findings, 1 with a warning; see {run.check_page}")
    assert "All checks passed, 1 with a warning." in run.check_page.read_text()
    assert train_student(run, recipe, 5).budget == 2


@pytest.mark.parametrize(("budgets", "said"), [([], "first 3 exchanges"), ([1, 3], "first 1 exchanges")])
def test_with_nothing_to_train_on_the_check_fails_and_says_so(new_run, new_row, budgets, said: str) -> None:
    long = [new_row(f"Say {number}.", "no " * 200) for number in range(3)]
    run, recipe = new_run(long, train={"max_length": 100}, budgets=budgets, check={"truncated_share": 1.0})

    with pytest.raises(InputError, match=rf"rows for each budget: 0 of .*: none of the {said} can be trained on"):
        check(run, recipe, available=plenty)


def test_rows_that_are_too_long_leave_a_budget_short(new_run, rows, new_row) -> None:
    long = new_row("Say it.", "no " * 200)
    settings = {"train": {"max_length": 100}, "check": {"truncated_share": 1.0}}

    def found(rows, budgets):
        _, recipe = new_run(rows, budgets=budgets, **settings)
        one = the(findings_of(recipe, rows), "rows for each budget")
        return one.found, one.passed

    assert found([*rows, long], [1, 3]) == ("1 of 1, 2 of 3", None)
    assert found([*rows, long], [2, 3]) == ("2 of 2, 2 of 3", False)
    assert found([*rows, long], []) == ("2 of 3", True)


def test_memory_is_compared_with_what_there_is_or_the_recipe_allows(new_run, rows) -> None:
    _, recipe = new_run(rows)
    _, tight = new_run(rows, check={"memory_gb": 0.1})

    assert the(findings_of(recipe, rows), "memory").passed
    assert not the(findings_of(recipe, rows, available=lambda: 1e8), "memory").passed
    assert not the(findings_of(tight, rows), "memory").passed
    assert the(findings_of(recipe, rows, available=lambda: None), "memory").passed is None


def test_memory_grows_with_what_is_held_and_shrinks_with_adapters(new_model) -> None:
    model = new_model(400, layers=4)

    def need(longest: int = 100, **settings):
        return memory_need(model, Train(**settings), longest=longest, vocab=400)

    assert need(micro_batch_tokens=8192, batch_size=64).activations > need(micro_batch_tokens=400).activations
    assert need(vocab_chunk_rows=512).head > need(vocab_chunk_rows=64).head
    assert need(lora=Lora(rank=2)).learning < need().learning
    assert need(longest=10_000).activations > need(longest=100).activations
    assert memory_need(model, Train(), longest=9, vocab=400, teacher=model).weights == 2 * need(longest=9).weights


def test_this_machine_has_some_memory() -> None:
    found = available_bytes()

    assert found is None or found > 1e6


def test_a_row_is_shown_token_by_token_and_whole(tokenizer) -> None:
    template = ChatTemplate(tokenizer)
    ids = [*tokenizer.encode("<|im_start|>user\nZoë<|im_end|>\n"), *tokenizer.encode("né 🙂 <b>"), template.stop_id]
    start = len(tokenizer.encode("<|im_start|>user\nZoë<|im_end|>\n"))

    shown = shown_row("e1", ids, start, False, template)

    assert "".join(text for _, text in shown.pieces) == template.decode(ids)
    assert shown.pieces[0][0] == "prompt"
    assert shown.pieces[-1] == ("stop", "<|im_end|>")
    assert any("🙂" in text for _, text in shown.pieces)
    assert (shown.tokens, shown.supervised) == (len(ids), len(ids) - start)


def test_a_row_cut_in_the_middle_of_a_character_is_still_shown(tokenizer) -> None:
    ids = tokenizer.encode("🙂")[:-1]

    assert shown_row("e1", [5, *ids], 1, True, ChatTemplate(tokenizer)).pieces[-1][0] == "answer"


def test_nothing_an_answer_holds_becomes_markup_or_steers_the_terminal(tokenizer) -> None:
    template = ChatTemplate(tokenizer)
    ids = np.asarray(tokenizer.encode("a<script>\x1b[2J\u202eb"), np.int32)
    shown = shown_row("e1", [int(one) for one in ids], 1, False, template)

    page, line = check_page("tiny", [], [shown]), ansi(shown)

    assert "<script" not in page
    assert "\x1b[2J" not in line
    assert "\u202e" not in line + page
    assert "http" not in page.replace("http-equiv", "")
