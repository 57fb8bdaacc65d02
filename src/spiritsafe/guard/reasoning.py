"""Thinking kept from an answer, or replaced by its summary: in fields, in think tags, streamed or whole. Pure.

One class for each family of formats; each edits parsed JSON in place and says whether it changed anything. A stream
that is edited stays valid: events keep their order and their types, and where a summary or text that was held back
needs an event of its own, it stands in `ahead`, to be sent before the event edited last.

Log-probabilities and token ids name the tokens they are of, so they pass only with text that passes unchanged.

Limits: thinking that a model was talked into writing into its answer is text, and passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from spiritsafe.guard.thinking import Summaries, ThinkTags, is_closed_only, told, whole_answer
from spiritsafe.wire.shapes import dict_of, list_of, text_of
from spiritsafe.wire.turns import content_of

Json = dict[str, Any]

FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Fields of a chat message that hold thinking as text (DeepSeek, vLLM; OpenRouter, newer vLLM; others; Ollama)."""

LISTS = ("reasoning_details", "thinking_blocks")
"""Fields that hold it as a list of parts, opaque handles among them (OpenRouter; LiteLLM)."""


class Withholding(Protocol):
    """Keeps thinking from the answers to one request.

    Attributes:
        ahead: events to be sent before the event edited last.
    """

    ahead: list[Json]

    def edit(self, body: Json) -> bool:
        """Edit a whole answer; whether it was changed."""
        ...

    def edit_event(self, event: Json) -> bool:
        """Edit one event of a stream; whether it was changed."""
        ...


class _Choice:
    """One choice of an answer, as far as it has come."""

    def __init__(self, tags: ThinkTags) -> None:
        self.tags = tags
        self.thoughts: list[str] = []
        self.field = ""


class ChoicesThinking:
    """Chat completions and completions: a list of choices, each with its thinking in fields, parts or tags.

    Args:
        summaries: what stands in place of thinking.
        thinks_first: see `editor_for`.
        holders: the fields of a choice that hold its text, ("delta", "message"); without any, the choice does itself.
        text: the field of the text.
    """

    def __init__(self, summaries: Summaries, thinks_first: bool, holders: tuple[str, ...], text: str) -> None:
        self.ahead: list[Json] = []
        self._summaries = summaries
        self._thinks_first = thinks_first
        self._holders = holders
        self._text = text
        self._choices: dict[object, _Choice] = {}

    def edit(self, body: Json) -> bool:
        """See `Withholding`."""
        changed = False
        for choice in _dicts(body.get("choices")):
            holder = self._holder_of(choice)
            text = holder.get(self._text)
            first = self._thinks_first or (isinstance(text, str) and is_closed_only(text))
            changed |= self._edit(choice, holder, _Choice(self._tags(first)), ended=True)
        return changed

    def edit_event(self, event: Json) -> bool:
        """See `Withholding`."""
        changed = False
        for choice in _dicts(event.get("choices")):
            index = choice.get("index")
            key = index if isinstance(index, int) else 0
            if key not in self._choices:
                self._choices[key] = _Choice(self._tags(self._thinks_first))
            ended = choice.get("finish_reason") is not None
            changed |= self._edit(choice, self._holder_of(choice), self._choices[key], ended=ended)
        return changed

    def _tags(self, thinks_first: bool) -> ThinkTags:
        return ThinkTags(thinks_first, keep=bool(self._summaries))

    def _holder_of(self, choice: Json) -> Json:
        if not self._holders:
            return choice
        for name in self._holders:
            holder = choice.get(name)
            if isinstance(holder, dict):
                return holder
        # A last event may come without a delta; text that was held back needs one. It goes unless something is put in.
        return {}

    def _edit(self, choice: Json, holder: Json, state: _Choice, *, ended: bool) -> bool:
        hidden = _fields_out(holder, state) | _parts_out(holder, self._text, state)
        text, came = holder.get(self._text), ""
        if isinstance(text, str):
            came, passed = text, self._passed(state.tags, text, ended=ended)
        else:
            passed = self._passed(state.tags, "", ended=ended)
        if passed != came:
            holder[self._text] = passed
            hidden = True
        if not self._summaries:
            state.thoughts.clear()
        if state.thoughts and (ended or passed or isinstance(text, list) or holder.get("tool_calls")):
            hidden |= self._put_summary(holder, state)
        if holder and self._holders and not any(choice.get(name) is holder for name in self._holders):
            choice[self._holders[0]] = holder
        if hidden or not came:
            hidden |= _tokens_out(choice)
        return hidden

    def _passed(self, tags: ThinkTags, text: str, *, ended: bool) -> str:
        passed = told(tags.feed(text), self._summaries)
        return passed + told(tags.end(), self._summaries) if ended else passed

    def _put_summary(self, holder: Json, state: _Choice) -> bool:
        summary = self._summaries.of("".join(state.thoughts))
        state.thoughts.clear()
        if not summary:
            return False
        if state.field:
            holder[state.field] = summary
        else:
            text = holder.get(self._text)
            parts = [{"type": "text", "text": text}] if isinstance(text, str) and text else list_of(text)
            holder[self._text] = [{"type": "thinking", "thinking": [{"type": "text", "text": summary}]}, *parts]
        return True


def _fields_out(holder: Json, state: _Choice) -> bool:
    """Take thinking out of the fields of one message or piece of one."""
    hidden = False
    for name in FIELDS:
        value = holder.get(name)
        if value:
            state.field = state.field or name
            if name == state.field and isinstance(value, str):
                state.thoughts.append(value)
            del holder[name]
            hidden = True
    for name in LISTS:
        for part in _dicts(holder.get(name)):
            hidden |= _blanked(part, "text", "summary", "thinking")
    return hidden


def _parts_out(holder: Json, text: str, state: _Choice) -> bool:
    """Take thinking out of a message whose content is a list of parts (Mistral)."""
    parts = holder.get(text)
    if not isinstance(parts, list):
        return False
    kept = [part for part in parts if dict_of(part).get("type") != "thinking"]
    if len(kept) == len(parts):
        return False
    state.thoughts += (content_of([part])[1] or "" for part in parts if part not in kept)
    holder[text] = kept or ""
    return True


def _tokens_out(choice: Json) -> bool:
    """Take out what names tokens one by one, thinking among them."""
    changed = False
    for name in ("logprobs", "token_ids"):
        if choice.get(name):
            choice[name] = None
            changed = True
    return changed


class MessageThinking:
    """Anthropic messages: thinking blocks stay, signed, with empty or summarised text; redacted ones stay."""

    def __init__(self, summaries: Summaries, thinks_first: bool) -> None:
        self.ahead: list[Json] = []
        self._summaries = summaries
        self._thinks_first = thinks_first
        self._thoughts: dict[object, list[str]] = {}
        self._tags: dict[object, ThinkTags] = {}

    def edit(self, body: Json) -> bool:
        """See `Withholding`."""
        changed = False
        for block in _dicts(body.get("content")):
            if block.get("type") == "thinking":
                changed |= _put(block, "thinking", self._summaries.of(text_of(block.get("thinking")) or ""))
            elif block.get("type") == "text":
                changed |= _whole_text(block, "text", self._summaries, self._thinks_first)
        return changed

    def edit_event(self, event: Json) -> bool:
        """See `Withholding`."""
        kind, index = event.get("type"), event.get("index")
        index = index if isinstance(index, int) else 0
        if kind == "content_block_start":
            return self._piece(index, event.get("content_block"))
        if kind == "content_block_delta":
            return self._piece(index, event.get("delta"))
        if kind == "content_block_stop":
            self._thinking_ends(index)
            if index in self._tags:
                self._send(index, "text", told(self._tags.pop(index).end(), self._summaries))
        return False

    def _piece(self, index: int, piece: object) -> bool:
        if not isinstance(piece, dict):
            return False
        kind = piece.get("type")
        if kind in ("thinking", "thinking_delta"):
            if self._summaries:
                self._thoughts.setdefault(index, []).append(text_of(piece.get("thinking")) or "")
            return _blanked(piece, "thinking")
        if kind in ("text", "text_delta") and isinstance(piece.get("text"), str):
            tags = self._tags.setdefault(index, ThinkTags(self._thinks_first, keep=bool(self._summaries)))
            return _put(piece, "text", told(tags.feed(piece["text"]), self._summaries))
        if kind == "signature_delta":
            self._thinking_ends(index)
        return False

    def _thinking_ends(self, index: int) -> None:
        thought = "".join(self._thoughts.pop(index, ()))
        self._send(index, "thinking", self._summaries.of(thought))

    def _send(self, index: int, kind: str, text: str) -> None:
        if text:
            delta = {"type": f"{kind}_delta", kind: text}
            self.ahead.append({"type": "content_block_delta", "index": index, "delta": delta})


class ResponseThinking:
    """OpenAI responses: reasoning items stay, with their encrypted content, without text or with a summary.

    Summaries that the upstream made stay where thinking is summarised.
    """

    def __init__(self, summaries: Summaries, thinks_first: bool) -> None:
        self.ahead: list[Json] = []
        self._summaries = summaries
        self._thinks_first = thinks_first
        self._tags: dict[object, ThinkTags] = {}
        self._more = 0

    def edit(self, body: Json) -> bool:
        """See `Withholding`."""
        changed = False
        for item in _dicts(body.get("output")):
            changed |= self._item(item)
        return changed

    def edit_event(self, event: Json) -> bool:
        """See `Withholding`."""
        changed = self._event(event)
        number = event.get("sequence_number")
        if self._more and isinstance(number, int):
            event["sequence_number"] = number + self._more
            changed = True
        return changed

    def _event(self, event: Json) -> bool:
        kind = text_of(event.get("type")) or ""
        part = event.get("part")
        if kind.startswith("response.reasoning"):
            return self._reasoning(kind, event)
        if kind.startswith("response.output_text."):
            return self._text(kind, event)
        if isinstance(event.get("item"), dict):
            return self._item(event["item"])
        if isinstance(event.get("response"), dict):
            return self.edit(event["response"])
        return isinstance(part, dict) and self._part(part)

    def _reasoning(self, kind: str, event: Json) -> bool:
        if self._summaries and "summary" in kind:
            return False
        changed = _blanked(event, "delta", "text")
        for inner in (event.get("part"), event.get("delta")):
            changed |= isinstance(inner, dict) and _blanked(inner, "text")
        return changed

    def _text(self, kind: str, event: Json) -> bool:
        place = (event.get("output_index"), event.get("content_index"))
        tags = self._tags.setdefault(str(place), ThinkTags(self._thinks_first, keep=bool(self._summaries)))
        if kind == "response.output_text.delta" and isinstance(event.get("delta"), str):
            changed = _put(event, "delta", told(tags.feed(event["delta"]), self._summaries))
            if changed or not event["delta"]:
                changed |= _listed_out(event)
            return changed
        if kind == "response.output_text.done":
            self._rest(event, told(tags.end(), self._summaries))
            changed = _whole_text(event, "text", self._summaries, self._thinks_first)
            return changed and (_listed_out(event) or changed)
        return False

    def _rest(self, event: Json, text: str) -> None:
        """Text that was held back until the end goes ahead of it; the numbers of the events after it move up."""
        if not text:
            return
        places = ("item_id", "output_index", "content_index", "sequence_number")
        delta = {name: event[name] for name in places if name in event}
        if isinstance(delta.get("sequence_number"), int):
            delta["sequence_number"] += self._more
        self.ahead.append({"type": "response.output_text.delta", **delta, "delta": text, "logprobs": []})
        self._more += 1

    def _item(self, item: Json) -> bool:
        if item.get("type") != "reasoning":
            changed = False
            for part in _dicts(item.get("content")):
                changed |= self._part(part)
            return changed
        thought = "".join(text_of(part.get("text")) or "" for part in _dicts(item.get("content")))
        changed = bool(item.get("content")) and _put(item, "content", [])
        if not self._summaries:
            return (bool(item.get("summary")) and _put(item, "summary", [])) or changed
        summary = "" if item.get("summary") else self._summaries.of(thought)
        return (bool(summary) and _put(item, "summary", [{"type": "summary_text", "text": summary}])) or changed

    def _part(self, part: Json) -> bool:
        if part.get("type") == "reasoning_text":
            return _blanked(part, "text")
        if part.get("type") != "output_text":
            return False
        changed = _whole_text(part, "text", self._summaries, self._thinks_first)
        return changed and (_listed_out(part) or changed)


def withholding_for(
    surface: str, summarise: Callable[[str], str] | None = None, *, thinks_first: bool = False
) -> Withholding | None:
    """What keeps thinking from answers of `surface`; None where answers hold none.

    `summarise` gets each stretch of thinking when it has ended; what it gives stands in its place. It runs on the
    path of the answer, so it must be quick. Without it thinking is withheld.
    """
    summaries = Summaries(summarise)
    if surface == "chat":
        return ChoicesThinking(summaries, thinks_first, ("delta", "message"), "content")
    if surface == "completions":
        return ChoicesThinking(summaries, thinks_first, (), "text")
    if surface == "messages":
        return MessageThinking(summaries, thinks_first)
    return ResponseThinking(summaries, thinks_first) if surface == "responses" else None


def _whole_text(holder: Json, name: str, summaries: Summaries, thinks_first: bool) -> bool:
    """Take thinking out of a text that is there whole."""
    text = holder.get(name)
    return isinstance(text, str) and _put(holder, name, whole_answer(text, summaries, thinks_first))


def _put(holder: Json, name: str, value: object) -> bool:
    if holder.get(name) == value:
        return False
    holder[name] = value
    return True


def _blanked(holder: Json, *names: str) -> bool:
    """Empty the texts of these names; whether there were any."""
    full = [name for name in names if isinstance(holder.get(name), str) and holder[name]]
    for name in full:
        holder[name] = ""
    return bool(full)


def _listed_out(holder: Json) -> bool:
    return bool(holder.get("logprobs")) and _put(holder, "logprobs", [])


def _dicts(values: object) -> list[Json]:
    return [value for value in list_of(values) if isinstance(value, dict)]
