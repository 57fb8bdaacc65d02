"""Template: a conversation as the token ids its model was made for, and where the answer in them begins.

    template = ChatTemplate(tokenizer)
    template.conversation(messages, answer).ids      prompt + answer + stop token

The conversation is rendered once as a whole, so that tokens form as they would in training data, and the ids are cut
right after the stop token. The prompt is rendered again as generation will render it. Where its ids are not a prefix of
the whole's (a token merged across the boundary, or the template writes past turns differently), prompt and answer are
encoded apart and joined, because that is what the student will see when it is asked.

Limits: text content only; one answer, at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message
from spiritsafe.wire.think import CLOSE, OPEN

PROBE = "Probe4tail"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as ids.

    Attributes:
        ids: prompt, answer and stop token.
        start: index of the first id the student has to write.
    """

    ids: list[int]
    start: int


class ChatTemplate:
    """The chat template of one tokenizer.

    Args:
        tokenizer: of transformers, with a chat template.

    Attributes:
        stop_id: the id that ends an answer: the special token the template puts after it, else the tokenizer's EOS.
        lead: the white space that the template itself puts between a prompt and its answer, mostly none.

    Raises:
        InputError: there is no chat template, or nothing ends an answer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        if not getattr(tokenizer, "chat_template", None):
            raise InputError(
                f"tokenizer {shown(str(tokenizer.name_or_path))} has no chat template, wanted one that turns messages "
                "into text; take the instruct variant of the model, or put a chat_template.jinja into its folder"
            )
        asked = [Message("user", "Hi")]
        probe = self._render([*asked, Message("assistant", PROBE)], generate=False)
        before, _, self._tail = probe.rpartition(PROBE)
        lead = before.removeprefix(self.prompt(asked))
        self.lead = lead if lead.isspace() else ""
        self._tail_ids = self.encode(self._tail)
        self.stop_id = self._find_stop()

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; special tokens in it count as such, and none is added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens included, nothing cleaned up."""
        text: str = self.tokenizer.decode(
            [int(one) for one in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    @property
    def vocab(self) -> int:
        """One more than the largest id the tokenizer can emit; rows of the head from there on are padding."""
        largest: int = max(self.tokenizer.get_vocab().values())
        return largest + 1

    def prompt(self, messages: Sequence[Message]) -> str:
        """What the student is given to continue."""
        return self._render(messages, generate=True)

    def conversation(self, messages: Sequence[Message], answer: str, reasoning: str | None = None) -> Rendered:
        """`messages`, then `answer` (after `reasoning`, where given, in think tags), then the stop token."""
        prompt = self.prompt(messages)
        whole = self._whole(prompt, messages, answer, reasoning)
        if whole is not None:
            return whole
        prompt_ids = self.encode(prompt)
        said = answer if reasoning is None else _thought(reasoning, opened=prompt.rstrip().endswith(OPEN)) + answer
        if reasoning is None and prompt.rstrip().endswith(OPEN):
            said = f"{CLOSE}\n\n{answer}"
        return Rendered([*prompt_ids, *self.encode(said), self.stop_id], len(prompt_ids))

    def _whole(self, prompt: str, messages: Sequence[Message], answer: str, reasoning: str | None) -> Rendered | None:
        """The conversation as one rendering, or None where that does not start with the prompt or loses the answer."""
        full = self._render([*messages, Message("assistant", answer)], generate=False, reasoning=reasoning)
        if not (full.startswith(prompt) and full.endswith(answer + self._tail)):
            return None
        lead = full[len(prompt) : len(full) - len(answer + self._tail)]
        if (OPEN in lead or CLOSE in lead) != (reasoning is not None) or (reasoning or "") not in lead:
            return None
        prompt_ids, ids = self.encode(prompt), self.encode(full)
        end = len(ids) - len(self._tail_ids)
        if ids[: len(prompt_ids)] != prompt_ids or ids[end:] != self._tail_ids or end < len(prompt_ids):
            return None
        return Rendered([*ids[:end], self.stop_id], len(prompt_ids))

    def _render(self, messages: Sequence[Message], *, generate: bool, reasoning: str | None = None) -> str:
        turns: list[dict[str, str]] = [{"role": m.role, "content": m.content} for m in messages]
        if reasoning is not None:
            turns[-1]["reasoning_content"] = reasoning
        try:
            text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generate)
        except Exception as error:  # templates raise whatever Jinja or their author raises
            roles = ", ".join(m.role for m in messages)
            raise InputError(
                f"the chat template cannot render turns of roles {roles}: {shown(str(error))}; "
                "change the prompts or the student's system prompt to turns it knows"
            ) from None
        return text

    def _find_stop(self) -> int:
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        if self._tail_ids and self._tail_ids[0] in special:
            return self._tail_ids[0]
        if self.tokenizer.eos_token_id is None:
            raise InputError(
                f"the chat template ends an answer with {shown(self._tail)} and the tokenizer has no EOS token, wanted "
                "a token that ends an answer; set eos_token in the tokenizer's folder"
            )
        eos_id: int = self.tokenizer.eos_token_id
        return eos_id


def _thought(reasoning: str, *, opened: bool) -> str:
    return f"{'' if opened else OPEN + chr(10)}{reasoning}\n{CLOSE}\n\n"


def without_thinking(chat_template: str) -> str:
    """The template with thinking off unless it is asked for.

    A student that learns answers without reasoning must be prompted as it was trained. Templates that know
    `enable_thinking` write an empty think block into the prompt when it is false; with this line first, the saved
    student does so for everyone, with no argument to remember. Other templates are unchanged.
    """
    if "enable_thinking" not in chat_template:
        return chat_template
    return "{%- if enable_thinking is not defined %}{%- set enable_thinking = false %}{%- endif %}" + chat_template


def with_system(chat_template: str, system: str) -> str:
    """The template with `system` as the system prompt of whoever gives none.

    A student that was trained behind a system prompt, be it an empty one, must be prompted as it was trained; many
    templates put one of their own in front otherwise.
    """
    turn = f"{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}"
    return (
        "{%- if not messages or messages[0]['role'] != 'system' %}{%- set messages = ["
        f"{turn}] + messages %}}{{%- endif %}}{chat_template}"
    )
