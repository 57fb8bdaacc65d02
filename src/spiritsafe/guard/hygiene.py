"""What never leaves, whoever asks: hygiene by segment, deterministic and free of false alarms. Pure.

Top log-probabilities are capped and rounded, `logit_bias` together with log-probabilities is refused, `n` is capped,
and thinking is passed on raw, summarised or withheld (`guard.reasoning`). Carlini et al. read the last layer of a
production model out of log-probabilities and `logit_bias` for under 20 dollars; of a few rounded ones without
`logit_bias` that is not known to work.

    message = refusal_of(hygiene, "chat", body)                     # None: may be asked
    editor = editor_for(hygiene, "chat", "allow", body)             # None: bytes pass untouched
    editor.edit(answer)    or    editor.edit_event(event)           # True: write it out anew

Limits: what a grammar or a `response_format` says about the odds of words stays. Tokens that were drawn keep their own
log-probability, rounded, when alternatives are capped to none.

Source: Carlini et al., "Stealing Part of a Production Language Model", arXiv 2403.06634, sections 4 and 5;
Finlayson et al., "Logits of API-Protected LLMs Leak Proprietary Information", arXiv 2403.09539.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from spiritsafe.errors import shown
from spiritsafe.guard.reasoning import Withholding, withholding_for
from spiritsafe.wire.shapes import dict_of, list_of

Json = dict[str, Any]

STREAMING = ("chat", "completions", "responses", "messages")
"""Surfaces whose answers are text of a model."""

BIASES = ("logit_bias", "allowed_token_ids")
"""Fields that push single tokens (OpenAI; vLLM)."""

_CHOICES = ("n", "best_of")


@dataclass(frozen=True, slots=True)
class Hygiene:
    """What holds for every exchange of a segment; as made without arguments, nothing does.

    Attributes:
        max_top_logprobs: alternatives a token keeps, the likeliest ones; None: all.
        logprob_decimals: decimal places that log-probabilities are rounded to; None: as they come.
        max_n: answers one request may ask for; None: any number.
        refuse_logit_bias_with_logprobs: whether asking for both is refused.
        reasoning: what becomes of thinking; "summarised" without a function that summarises is withheld.
        strip_logprobs: whether no log-probabilities leave at all, as if they had not been asked for.
        bind_handles: whether reasoning handles are bound to account, session and model (`guard.handles`).
    """

    max_top_logprobs: int | None = None
    logprob_decimals: int | None = None
    max_n: int | None = None
    refuse_logit_bias_with_logprobs: bool = False
    reasoning: Literal["raw", "summarised", "withheld"] = "raw"
    strip_logprobs: bool = False
    bind_handles: bool = False


def refusal_of(hygiene: Hygiene, surface: str, body: Json) -> str | None:
    """Why this must not be asked, for whoever asked; None where it may be."""
    if surface not in STREAMING:
        return None
    if hygiene.max_n is not None:
        for name in _CHOICES:
            count = body.get(name)
            if count is not None and (type(count) is not int or count > hygiene.max_n):
                return f"got {name} = {shown(count)}, wanted a whole number up to {hygiene.max_n}; ask for fewer"
    if hygiene.refuse_logit_bias_with_logprobs:
        for name in BIASES:
            if body.get(name) and asks_for_logprobs(body):
                return f"got {name} together with log-probabilities, wanted one or the other; leave one of them out"
    return None


def asks_for_logprobs(body: Json) -> bool:
    """Whether log-probabilities may come back, by any server's word for them.

    OpenAI's `logprobs`, `top_logprobs` and `include`; vLLM's `prompt_logprobs`; SGLang's `return_logprob`; llama.cpp's
    `n_probs`. Of completions, `logprobs = 0` asks for those of the drawn tokens.
    """
    for name, value in body.items():
        if "prob" in name and value is not None and value is not False:
            return True
    return any("logprobs" in item for item in list_of(body.get("include")) if isinstance(item, str))


class Editor:
    """Edits the answers to one request; made by `editor_for`."""

    def __init__(self, logprobs: Logprobs | None, thinking: Withholding | None) -> None:
        self._logprobs = logprobs
        self._thinking = thinking

    def edit(self, body: Json) -> bool:
        """Edit a whole answer in place; whether it was changed."""
        changed = self._thinking is not None and self._thinking.edit(body)
        return (self._logprobs is not None and self._logprobs.edit(body)) or changed

    def edit_event(self, event: Json) -> bool:
        """Edit one event of a stream in place; whether it was changed. All of a stream's events must come, in order."""
        changed = self._thinking is not None and self._thinking.edit_event(event)
        return (self._logprobs is not None and self._logprobs.edit(event)) or changed

    def concerns(self, data: bytes) -> bool:
        """Whether an event or a body in these bytes has to be looked at: a quick no for most, where thinking is raw."""
        return self._thinking is not None or b"logprob" in data

    def take_ahead(self) -> list[Json]:
        """Events to be sent before the event edited last, whether or not that one was changed; mostly none."""
        if self._thinking is None or not self._thinking.ahead:
            return []
        ahead, self._thinking.ahead = self._thinking.ahead, []
        return ahead


def editor_for(
    hygiene: Hygiene,
    surface: str,
    action: str,
    request: Json | None = None,
    *,
    summarise: Callable[[str], str] | None = None,
    thinks_first: bool = False,
) -> Editor | None:
    """What edits the answers to one request; None where nothing could have to be changed.

    Args:
        hygiene: of the segment.
        surface: name of the surface.
        action: what policy decided; "strip" takes log-probabilities and thinking from the answer.
        request: the body that was sent; where it asks for no log-probabilities, none are looked for.
        summarise: see `reasoning.withholding_for`.
        thinks_first: whether the model's answers begin inside thinking without an opening tag.
    """
    if surface not in STREAMING:
        return None
    strip = action == "strip"
    logprobs = None if surface == "messages" else _logprobs_of(hygiene, strip)
    if logprobs is not None and request is not None and not asks_for_logprobs(request):
        logprobs = None
    thinking = None
    if strip or hygiene.reasoning != "raw":
        told = summarise if hygiene.reasoning == "summarised" and not strip else None
        thinking = withholding_for(surface, told, thinks_first=thinks_first)
    return None if logprobs is None and thinking is None else Editor(logprobs, thinking)


def _logprobs_of(hygiene: Hygiene, strip: bool) -> Logprobs | None:
    if strip or hygiene.strip_logprobs:
        return Logprobs(None, None, strip=True)
    if hygiene.max_top_logprobs is None and hygiene.logprob_decimals is None:
        return None
    return Logprobs(hygiene.max_top_logprobs, hygiene.logprob_decimals, strip=False)


class Logprobs:
    """Caps and rounds log-probabilities, or takes them out, wherever OpenAI's formats and vLLM's have them."""

    def __init__(self, most: int | None, decimals: int | None, *, strip: bool) -> None:
        self._most = most
        self._decimals = decimals
        self._strip = strip

    def edit(self, body: Json) -> bool:
        """Edit a whole answer or an event in place; whether it was changed."""
        changed = False
        for holder, empty in _holders(body):
            if self._strip:
                changed |= _emptied(holder, "logprobs", empty)
            else:
                changed |= self._tokens(holder.get("logprobs"))
        for holder in (body, *_dicts(body.get("choices"))):
            if self._strip:
                changed |= _emptied(holder, "prompt_logprobs", None)
            else:
                changed |= self._prompt(holder.get("prompt_logprobs"))
        return changed

    def _tokens(self, logprobs: object) -> bool:
        """Lists of tokens (chat, responses), or the older lists side by side (completions)."""
        changed = False
        fields = dict_of(logprobs)
        for token in (*_dicts(logprobs), *_dicts(fields.get("content")), *_dicts(fields.get("refusal"))):
            changed |= self._token(token)
        drawn = fields.get("token_logprobs")
        if isinstance(drawn, list):
            for at, value in enumerate(drawn):
                changed |= self._round(drawn, at, value)
        for at, best in enumerate(list_of(fields.get("top_logprobs"))):
            changed |= self._by_token(fields["top_logprobs"], at, best)
        return changed

    def _token(self, token: Json) -> bool:
        changed = self._round(token, "logprob", token.get("logprob"))
        best = token.get("top_logprobs")
        if not isinstance(best, list):
            return changed
        if self._most is not None and len(best) > self._most:
            token["top_logprobs"] = best = sorted(best, key=_odds, reverse=True)[: self._most]
            changed = True
        for other in _dicts(best):
            changed |= self._round(other, "logprob", other.get("logprob"))
        return changed

    def _prompt(self, positions: object) -> bool:
        """vLLM's log-probabilities of the prompt: for each position an object by token id."""
        changed = False
        for at, best in enumerate(list_of(positions)):
            changed |= self._by_token(positions, at, best)
        return changed

    def _by_token(self, positions: Any, at: int, best: object) -> bool:
        """Alternatives as an object: from token to log-probability, or to an object that has one."""
        if not isinstance(best, dict):
            return False
        changed = False
        if self._most is not None and len(best) > self._most:
            likeliest = sorted(best.items(), key=lambda item: _odds(item[1]), reverse=True)[: self._most]
            positions[at] = best = dict(likeliest)
            changed = True
        for token, value in best.items():
            if isinstance(value, dict):
                changed |= self._round(value, "logprob", value.get("logprob"))
            else:
                changed |= self._round(best, token, value)
        return changed

    def _round(self, holder: Any, at: str | int, value: object) -> bool:
        if self._decimals is None or type(value) is not float:
            return False
        rounded = round(value, self._decimals)
        if rounded == value:
            return False
        holder[at] = rounded
        return True


def _holders(body: Json) -> Iterator[tuple[Json, object]]:
    """Each object that can have `logprobs`, with what stands there when they were not asked for."""
    for choice in _dicts(body.get("choices")):
        yield choice, None
    if isinstance(body.get("logprobs"), list):
        yield body, []
    for part in (body.get("part"), *_parts_of(body.get("item"))):
        if isinstance(part, dict):
            yield part, []
    for holder in (body, dict_of(body.get("response"))):
        for item in list_of(holder.get("output")):
            for part in _parts_of(item):
                yield part, []


def _parts_of(item: object) -> Iterator[Json]:
    return _dicts(dict_of(item).get("content"))


def _dicts(values: object) -> Iterator[Json]:
    return (value for value in list_of(values) if isinstance(value, dict))


def _emptied(holder: Json, name: str, empty: object) -> bool:
    if name not in holder or holder[name] == empty:
        return False
    holder[name] = empty
    return True


def _odds(value: object) -> float:
    """The log-probability of an alternative; one that cannot be read goes last."""
    odds = value.get("logprob") if isinstance(value, dict) else value
    return odds if isinstance(odds, int | float) else float("-inf")
