import gzip
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.code import IDEAS, LINES, STEPS, TASKS, said, snippet
from spiritsafe.drills.texts.coercion import FAMILIES, coercion
from spiritsafe.drills.texts.grammar import topic, topics
from spiritsafe.drills.texts.jobs import job, judging, labelling, pair
from spiritsafe.drills.texts.lessons import CAPABILITIES, frame, task
from spiritsafe.drills.texts.maths import KINDS, problem
from spiritsafe.drills.texts.passages import SENTENCES, cut, passage
from spiritsafe.drills.texts.sets import MOST_CHARS, read_sets
from spiritsafe.drills.texts.talk import FOLLOW_UPS, OPENINGS, opening
from spiritsafe.errors import InputError

Says = Callable[[Dice], str]

SAYS: dict[str, Says] = {
    "openings": lambda dice: opening(dice, dice.pick(topics())),
    "passages": lambda dice: passage(dice, dice.pick(topics()), 3),
    "code": lambda dice: snippet(dice, 4),
    "tasks": lambda dice: said(dice, TASKS),
    "lessons": lambda dice: task(dice, dice.pick(CAPABILITIES))[1],
    "frames": lambda dice: frame(dice, dice.pick(CAPABILITIES)).around("x"),
    "coercion": coercion,
    "maths": lambda dice: problem(dice).question,
    "jobs": lambda dice: job(dice, dice.pick(topics())).before,
    "labels": lambda dice: labelling(dice, dice.pick(topics())).before,
    "rubrics": lambda dice: judging(dice, dice.pick(topics())).before,
    "pairs": lambda dice: pair(dice, dice.pick(topics())),
}


@pytest.mark.parametrize("name", SAYS)
def test_texts_have_no_place_left_open(name: str) -> None:
    dice = Dice.of("open", name)

    assert not [text for _ in range(400) if re.search(r"\{\w*\}", text := SAYS[name](dice))]


@pytest.mark.parametrize(("name", "least"), [("openings", 980), ("passages", 995), ("lessons", 990), ("maths", 950)])
def test_a_thousand_draws_hardly_repeat(name: str, least: int) -> None:
    dice = Dice.of("many", name)

    assert len({SAYS[name](dice) for _ in range(1000)}) >= least


def test_every_pattern_has_at_most_eight_places() -> None:
    patterns = [*OPENINGS, *FOLLOW_UPS, *SENTENCES, *LINES, *TASKS, *STEPS, *IDEAS]
    patterns += [pattern for family in FAMILIES for pattern in family]
    patterns += [pattern for one in CAPABILITIES for pattern in one.tasks]

    assert max(len(re.findall(r"\{\w+\}", pattern)) for pattern in patterns) <= 8


def test_topics_have_their_words_and_capabilities_their_topics() -> None:
    assert len({one.name for one in topics()}) == len(topics()) >= 40
    assert all(len(words) >= 6 and all(words) for one in topics() for words in one.words.values())
    assert all(topic(name).name == name for one in CAPABILITIES for name in one.topics)


def test_problems_have_whole_numbers_as_answers_that_the_text_implies() -> None:
    dice = Dice.of("sums")

    for kind in KINDS:
        for _ in range(50):
            assert int(kind(dice).answer) > 0
    text, answer = problem(Dice.of("one sum"))
    assert (len(text) > 40, answer.isdecimal()) == (True, True)


def test_an_answer_has_the_length_that_was_wanted() -> None:
    about = topic("cooking")

    assert [len(cut(about, 7, chars)) for chars in (50, 500, 5000)] == [50, 500, 5000]
    assert cut(about, 1, 100) != cut(about, 2, 100)


def test_families_of_coercion_are_evenly_drawn() -> None:
    dice = Dice.of("families")
    texts = [Counter(coercion(dice, family).split()[0] for _ in range(50)) for family in range(len(FAMILIES))]

    assert len(FAMILIES) >= 5
    assert all(texts)


def packed(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, rows))))


def test_prompt_sets_are_read_where_they_are_there(tmp_path: Path) -> None:
    packed(
        tmp_path / "alpaca_eval_prompts.jsonl.gz", [{"instruction": "Why?"}, {"instruction": "x" * (MOST_CHARS + 1)}]
    )
    packed(tmp_path / "mt_bench_questions.jsonl.gz", [{"turns": ["First.", "Second."]}])
    packed(tmp_path / "clinc150.jsonl.gz", [{"text": "hi", "intent": "a"}, {"text": "ho", "intent": "a"}])
    packed(tmp_path / "gsm8k_test.jsonl.gz", [{"question": "1+1?", "answer": "#### 2"}])

    sets = read_sets(tmp_path)

    assert sets.questions == ("Why?", "First.")
    assert sets.utterances == (("hi", "ho"),)
    assert sets.problems == ((("1+1?", "#### 2"),),)
    assert sets.templates == ()
    assert len(sets.names) == 4


def test_a_folder_without_sets_and_a_damaged_set_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder of prompt sets"):
        read_sets(tmp_path)
    (tmp_path / "bbh.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot read"):
        read_sets(tmp_path)
