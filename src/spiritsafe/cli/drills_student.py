"""`spiritsafe drills prompts|student`: what a campaign's student would have learned before the campaign was stopped.

The campaign asks the prompts of a distillation recipe (`prompts` writes them for `asks = "file"`). Of a campaign that
has been played, `student` trains two students by the same recipe: one on the prompts that were answered before their
account was stopped, one on all; and measures both on the recipe's held-out items. The recipe's own teacher gives the
answers, with its system prompt and worked examples, so that a drill whose model is a script has a student too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.distil.prompt import Prompt, row_from_json
from spiritsafe.distil.recipe import ExpandPrompts, FilePrompts, Recipe
from spiritsafe.distil.run import RunFolder, read_lines, write_json, write_lines
from spiritsafe.errors import InputError, shown

FOLDER = "student"
STUDENTS = Path(FOLDER, "students.json")
"""What was found of all campaigns; `drills score` shows it."""

Row = dict[str, Any]


def prompts(recipe: str, to: Path) -> None:
    """Write the prompts that a recipe trains on to a file, for a campaign with `asks = "file"`.

    Parameters
    ----------
    recipe:
        A recipe's path, or the name of one in the package.
    to:
        The .jsonl file.
    """
    from spiritsafe.cli.distil import recipe_named

    training, held_out = streams(recipe_named(recipe))
    write_lines(to, (_bare(prompt) for prompt in training))
    print(f"{len(training):,} prompts in {to}; {len(held_out):,} are held out and not in it")


def student(folder: Path, *, recipe: str, alarms: Path | None = None) -> None:
    """Train on what a campaign was answered before it was stopped, and on all it asked; say what each recovered.

    Parameters
    ----------
    folder:
        What `drills log` or `drills run` wrote; run folders of the students go into `student` inside it.
    recipe:
        The recipe whose prompts the campaign asked.
    alarms:
        The alarms by which accounts are stopped, for a drill in a log; over HTTP the gateway's own refusals count.
    """
    from spiritsafe.cli.distil import recipe_named
    from spiritsafe.drills.alarms import read_alarms
    from spiritsafe.drills.results import Results
    from spiritsafe.drills.score_table import student_lines

    results, wanted = Results.of(folder), recipe_named(recipe)
    raised = read_alarms(alarms) if alarms else []
    found = {
        name: taught(folder / FOLDER, name, recipe, wanted, list(results.queries(name, raised)))
        for name in _from_file(results.scenario)
    }
    write_json(folder / STUDENTS, found)
    for line in student_lines(found):
        print(line)


def _from_file(scenario: Mapping[str, Any]) -> list[str]:
    """Campaigns that asked the prompts of a file."""
    names = [table["name"] for table in scenario["campaign"] if table["played"]["asks"] == "file"]
    if not names:
        raise InputError('got no campaign that asks from a file, wanted one with asks = "file"; see docs/how/drills.md')
    return names


def streams(recipe: Recipe) -> tuple[list[Prompt], list[Prompt]]:
    """(training prompts, held-out prompts) of `recipe`.

    Raises:
        InputError: its prompts cannot be read, or are made by asking its teacher.
    """
    from spiritsafe.distil.prompts import distinct, load_prompts, split_held_out

    if isinstance(recipe.prompts, ExpandPrompts):
        raise InputError('got a recipe with prompts of kind "expand", wanted ones that are known without asking')
    every = load_prompts(recipe.prompts)
    if recipe.evaluate.prompts is not None:
        held_out = list(load_prompts(recipe.evaluate.prompts))
        return list(distinct(every, {prompt.id for prompt in held_out})), held_out
    split = split_held_out(every, recipe.evaluate.held_out, recipe.evaluate.seed)
    return list(split), list(split.held_out)


@dataclass(frozen=True, slots=True)
class Queries:
    """What a campaign asked, each prompt once.

    Attributes:
        through: those that were answered before the stop, in the order of their first answer.
        stopped: all others, in the order in which they were first asked.
    """

    through: tuple[str, ...]
    stopped: tuple[str, ...]


def sorted_out(queries: Iterable[tuple[str, bool]]) -> Queries:
    """`queries`, each a prompt and whether it was answered before the stop, in the order of time."""
    asked: dict[str, None] = {}
    through: dict[str, None] = {}
    for prompt, is_through in queries:
        (through if is_through else asked)[prompt] = None
    return Queries(tuple(through), tuple(prompt for prompt in asked if prompt not in through))


def taught(root: Path, name: str, recipe_path: str, recipe: Recipe, queries: Sequence[tuple[str, bool]]) -> Row:
    """Both students of the campaign `name`, in a run folder of its own inside `root`; what was found, as JSON.

    Raises:
        InputError: it asked nothing, or nothing that it asked was worth keeping.
        SpiritSafeError: whatever a stage of the run raises; what it finished is kept.
    """
    from spiritsafe.distil.stages import Sitting, do, do_all

    found = sorted_out(queries)
    wanted = asking(recipe, name, root / name / "queries", found)
    run = RunFolder(root / name)

    def sitting(of: Recipe) -> Sitting:
        return Sitting(of, recipe_path, run, root / "ledger", False, lambda line: print(f"{name}: {line}", flush=True))

    for stage in ("collect", "curate"):
        do(stage, sitting(wanted))
    kept = kept_of(run, frozenset(found.through))
    do_all(sitting(wanted.model_copy(update={"budgets": tuple(sorted({count for count in kept if count}))})))
    recovered = {row["exchanges"]: row["recovered"] for row in run.read_summary("evaluate")["students"]}
    return {
        "queries": len(found.through) + len(found.stopped),
        "let_through": len(found.through),
        "kept_let_through": kept[0],
        "kept": kept[1],
        "from_let_through": recovered[kept[0]] if kept[0] else None,
        "from_all": recovered[kept[1]],
    }


def asking(recipe: Recipe, name: str, folder: Path, queries: Queries) -> Recipe:
    """`recipe` with the campaign's queries as its prompts, those let through first; they are written into `folder`.

    Raises:
        InputError: there are none.
        StoreError: the disk did not take them.
    """
    if not queries.through and not queries.stopped:
        raise InputError(f"campaign {shown(name)} asked nothing; play it for longer")
    training, held_out = streams(recipe)
    known = {prompt.text: prompt for prompt in training}
    asked, held = folder / "asked.jsonl", folder / "held_out.jsonl"
    write_lines(asked, (_row(text, known.get(text)) for text in (*queries.through, *queries.stopped)))
    write_lines(held, (_row(prompt.text, prompt) for prompt in held_out))
    evaluate = recipe.evaluate.model_copy(update={"prompts": FilePrompts(kind="jsonl", path=held), "held_out": 0})
    changes = {"name": f"{recipe.name}-{name}", "prompts": FilePrompts(kind="jsonl", path=asked), "evaluate": evaluate}
    return recipe.model_copy(update=changes)


def kept_of(run: RunFolder, through: frozenset[str]) -> tuple[int, int]:
    """(kept exchanges about prompts in `through`, all kept exchanges); the first come first in the run's file.

    Raises:
        InputError: curation kept nothing.
    """
    texts = [row_from_json(line).prompt.text for line in read_lines(run.curated)]
    if not texts:
        raise InputError(f"curation kept nothing in {shown(str(run.root))}; see dropped.jsonl there for why")
    kept = sum(text in through for text in texts)
    assert through.issuperset(texts[:kept]), "curation keeps the order, and a budget takes the first rows"
    return kept, len(texts)


def _bare(prompt: Prompt) -> Row:
    """A line of a file for `asks = "file"`."""
    if len(prompt.messages) != 1:
        raise InputError(
            f"got a prompt of {len(prompt.messages)} messages, wanted one: a campaign asks single questions"
        )
    return {"prompt": prompt.text, "answer": prompt.expected}


def _row(text: str, prompt: Prompt | None) -> Row:
    """A line of a recipe's file of prompts; with its known answer, where the recipe knows one."""
    if prompt is None:
        return {"prompt": text}
    turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return {"messages": turns} | ({} if prompt.expected is None else {"answer": prompt.expected})


def students_of(folder: Path) -> Row:
    """What `student` found in the drill's folder; {} where it was not asked."""
    try:
        found: Row = orjson.loads((folder / STUDENTS).read_bytes())
    except FileNotFoundError:
        return {}
    return found
