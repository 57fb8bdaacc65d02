"""Prompts: where what is asked comes from. One file a kind; each gives prompts one at a time.

`load_prompts` is the door: it picks the kind and drops repeats as they come. `split_held_out` keeps evaluation prompts
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts import datasets_hub, expand, files, template
from spiritsafe.distil.prompts.method import Ask
from spiritsafe.distil.prompts.split import HeldOutSplit, distinct, split_held_out
from spiritsafe.distil.recipe import DatasetPrompts, ExpandPrompts, FilePrompts, PromptSource, TemplatePrompts

__all__ = ["SOURCES", "Ask", "HeldOutSplit", "distinct", "load_prompts", "split_held_out"]

SOURCES: tuple[tuple[type[Any], Callable[[Any, Ask | None], Iterator[Prompt]]], ...] = (
    (FilePrompts, files.load),
    (DatasetPrompts, datasets_hub.load),
    (TemplatePrompts, template.load),
    (ExpandPrompts, expand.load),
)
"""Each section a recipe's `prompts` can be, with what reads it."""


def load_prompts(source: PromptSource, *, ask: Ask | None = None) -> Iterator[Prompt]:
    """The prompts of `source` in its order, each once.

    Args:
        source: a recipe's `prompts` section.
        ask: asks the teacher; needed by "expand" alone.

    Memory: what `distinct` says, and one row.

    Raises:
        InputError: while iterating: a file, row, template or dataset is not what is wanted.
        MissingExtra: the kind needs an extra that is not installed.
    """
    return distinct(dict(SOURCES)[type(source)](source, ask))
