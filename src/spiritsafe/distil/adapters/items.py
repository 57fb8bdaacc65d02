"""Held-out items for other tools: what a student is asked, as a system prompt and one question, and how it is judged.

An empty system prompt of the recipe is not sent: the saved student's chat template puts it there by itself.

Limits: one question an item. A conversation with earlier answers in it cannot be asked the same way by every tool, so
it is refused rather than flattened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.verify import Verify, verifier_for
from spiritsafe.errors import InputError
from spiritsafe.wire.think import split_think


@dataclass(frozen=True, slots=True)
class Item:
    """One held-out prompt as a student sees it.

    Attributes:
        prompt: the prompt, which the verifier needs.
        system: the system prompt, "" for none: the recipe's for the student, then the prompt's own.
        question: the user's turn.
    """

    prompt: Prompt
    system: str
    question: str


def items_of(prompts: Iterable[Prompt], recipe: Recipe) -> list[Item]:
    """The prompts that can be judged, as items.

    Raises:
        InputError: a prompt has more turns than a system prompt and a question, or none can be judged.
    """
    verify = verifier_for(recipe.evaluate.verifier)
    items = [_item(prompt, recipe.student.system) for prompt in prompts if verify(prompt, "").right is not None]
    if not items:
        raise InputError("no held-out item can be judged, wanted known answers or a verifier that needs none")
    return items


def _item(prompt: Prompt, system: str | None) -> Item:
    roles = [m.role for m in prompt.messages]
    if roles not in (["user"], ["system", "user"]):
        raise InputError(
            f"prompt {prompt.id} has turns {', '.join(roles)}, wanted one question, with or without a system prompt; "
            "evaluate conversations with  spiritsafe distil evaluate"
        )
    before = [text for text in (system, *(m.content for m in prompt.messages[:-1])) if text]
    return Item(prompt, "\n\n".join(before), prompt.messages[-1].content)


def is_right(verify: Verify, prompt: Prompt, said: str) -> tuple[bool, str]:
    """Whether `said` is right once its reasoning is taken off, and why not; what cannot be judged is not right."""
    judged = verify(prompt, split_think(said)[0])
    return judged.right is True, judged.reason
