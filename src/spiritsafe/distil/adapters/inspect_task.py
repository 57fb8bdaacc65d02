"""A run's held-out items as a task of Inspect (extra `inspect`).

In a file of one's own, say `held_out.py`:

    from pathlib import Path
    from inspect_ai import task
    from spiritsafe.distil.adapters.inspect_task import task_of_run

    @task
    def held_out():
        return task_of_run(Path("runs/demo"))

    inspect eval held_out.py --model hf/runs/demo/student -M do_sample=false

Answers are judged by the same verifier as in evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spiritsafe.distil.adapters.items import Item, is_right, items_of
from spiritsafe.distil.prompt import Prompt, prompt_from_json
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder, read_lines
from spiritsafe.distil.verify import Verify, verifier_for
from spiritsafe.errors import InputError, MissingExtra, shown


def task_of_run(folder: Path) -> Any:
    """The Inspect task of a run's held-out prompts, by the recipe the run was last made with.

    Raises:
        InputError: the run has no recipe or no held-out prompts.
        MissingExtra: Inspect is not installed.
    """
    run = RunFolder(folder)
    if not run.recipe.exists():
        raise InputError(f"no run at {shown(str(folder))}, wanted a folder that  spiritsafe distil  has written to")
    recipe = Recipe.model_validate_json(run.recipe.read_bytes())
    return inspect_task((prompt_from_json(line) for line in read_lines(run.held_out)), recipe)


def inspect_task(prompts: Iterable[Prompt], recipe: Recipe) -> Any:
    """An `inspect_ai.Task` that asks `prompts` as a student is asked, and judges by the recipe's verifier.

    Raises:
        InputError: a prompt is a longer conversation, or none can be judged.
        MissingExtra: Inspect is not installed.
    """
    try:
        from inspect_ai import Task
        from inspect_ai.dataset import MemoryDataset
        from inspect_ai.model import GenerateConfig
    except ImportError:
        raise MissingExtra.of("the Inspect task", "inspect") from None
    items = items_of(prompts, recipe)
    return Task(
        dataset=MemoryDataset([_sample(item) for item in items], name=recipe.name),
        scorer=_scorer({item.prompt.id: item.prompt for item in items}, verifier_for(recipe.evaluate.verifier)),
        config=GenerateConfig(temperature=0.0, max_tokens=recipe.evaluate.max_new_tokens),
        name=recipe.name,
    )


def _sample(item: Item) -> Any:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    system = [ChatMessageSystem(content=item.system)] if item.system else []
    asked = [*system, ChatMessageUser(content=item.question)]
    return Sample(input=asked, target=item.prompt.expected or "", id=item.prompt.id)


def _scorer(prompts: dict[str, Prompt], verify: Verify) -> Any:
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer, stderr

    @scorer(metrics=[accuracy(), stderr()], name="verifier")  # type: ignore[untyped-decorator]  # Inspect's types are not read
    def verifier() -> Any:
        async def score(state: Any, target: Any) -> Any:
            said = state.output.completion
            right, why = is_right(verify, prompts[str(state.sample_id)], said)
            return Score(value=CORRECT if right else INCORRECT, answer=said, explanation=why or None)

        return score

    return verifier()
