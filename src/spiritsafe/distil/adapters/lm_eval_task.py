"""A run's held-out items as a task of lm-evaluation-harness (extra `lm-eval`).

    write_lm_eval_task(folder, prompts, recipe)

    lm_eval --model hf --model_args pretrained=DIR/student --apply_chat_template \\
        --include_path FOLDER --tasks NAME

Writes `NAME.yaml`, `items.jsonl`, `verifier.json` and `judge.py`; the folder can be moved. Answers are judged by the
same verifier as in evaluation, so spiritsafe has to be installed where the harness runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from spiritsafe.distil.adapters.items import Item, is_right, items_of
from spiritsafe.distil.frontmatter import front_matter
from spiritsafe.distil.prompt import Prompt, prompt_from_json, prompt_to_json
from spiritsafe.distil.recipe import Recipe, Verifier
from spiritsafe.distil.run import read_lines, write_bytes, write_json, write_lines
from spiritsafe.distil.verify import Verify, verifier_for
from spiritsafe.errors import MissingExtra

JUDGE = '''"""Loads and judges the items of this folder. Written by spiritsafe."""

from pathlib import Path

from spiritsafe.distil.adapters.lm_eval_task import judged, load_items

HERE = Path(__file__).parent


def load(**kwargs):
    return {"test": load_items(HERE)}


def process_results(doc, results):
    return judged(HERE, doc, results)
'''


def write_lm_eval_task(folder: Path, prompts: Iterable[Prompt], recipe: Recipe) -> int:
    """Write the task folder; returns how many items are in it.

    Args:
        folder: made where missing; its files are replaced.
        prompts: the held-out prompts.
        recipe: gives the task's name, the verifier, the student's system prompt and the token limit.

    Raises:
        InputError: a prompt is a longer conversation, or none can be judged.
        StoreError: the disk did not take it.
    """
    count = write_lines(folder / "items.jsonl", map(_line, items_of(prompts, recipe)))
    write_json(folder / "verifier.json", recipe.evaluate.verifier.model_dump(mode="json"))
    write_bytes(folder / "judge.py", JUDGE.encode())
    write_bytes(folder / f"{recipe.name}.yaml", _yaml(recipe).encode())
    return count


def _line(item: Item) -> dict[str, str]:
    return {"system": item.system, "question": item.question, "prompt": json.dumps(prompt_to_json(item.prompt))}


def _yaml(recipe: Recipe) -> str:
    settings = front_matter(
        {
            "task": recipe.name,
            "test_split": "test",
            "output_type": "generate_until",
            "description": "{{system}}",
            "doc_to_text": "{{question}}",
            "doc_to_target": "",
            "num_fewshot": 0,
            "generation_kwargs": {
                "until": [],
                "do_sample": False,
                "max_gen_toks": recipe.evaluate.max_new_tokens,
            },
            "metric_list": [{"metric": "right", "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": 1},
        }
    )
    functions = "custom_dataset: !function judge.load\nprocess_results: !function judge.process_results\n"
    return settings.removeprefix("---\n").removesuffix("---\n") + functions


def load_items(folder: Path) -> Any:
    """The items of a task folder as a dataset.

    Raises:
        InputError: the file is missing or damaged.
        MissingExtra: the harness's `datasets` is not installed.
    """
    try:
        from datasets import Dataset
    except ImportError:
        raise MissingExtra.of("the lm-eval task", "lm-eval") from None
    return Dataset.from_list(list(read_lines(folder / "items.jsonl")))


def judged(folder: Path, doc: Mapping[str, str], results: Sequence[str]) -> dict[str, float]:
    """The harness's `process_results`: 1.0 where the answer is right."""
    right, _ = is_right(_verify(folder), prompt_from_json(json.loads(doc["prompt"])), results[0])
    return {"right": float(right)}


@cache
def _verify(folder: Path) -> Verify:
    return verifier_for(Verifier.model_validate_json((folder / "verifier.json").read_bytes()))
