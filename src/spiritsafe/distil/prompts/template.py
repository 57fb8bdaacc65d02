"""Prompts from templates filled with records: rows of a file, or draws from word lists.

A template is text with fields in braces, as in `str.format`, but a field is a plain name: "{city}". Braces that are
text are doubled: "{{" and "}}". Memory: one record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from string import Formatter
from typing import Any

from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.prompts.draws import draws
from spiritsafe.distil.prompts.files import Row, kind_of, read_rows
from spiritsafe.distil.recipe import TemplatePrompts
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message

_LISTS = "the word lists"


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literal texts, each followed by the field that comes after it (None at the end)."""

    text: str
    pieces: tuple[tuple[str, str | None], ...]

    @property
    def fields(self) -> frozenset[str]:
        """The names it needs."""
        return frozenset(name for _, name in self.pieces if name is not None)

    def check(self, record: Mapping[str, Any], where: str) -> None:
        """Raise InputError unless `record` has a value for every field; `where` says in the message whose it is."""
        if absent := sorted(name for name in self.fields if record.get(name) is None):
            raise InputError(
                f"template {shown(self.text)} needs field {shown(absent[0])}, which is not in {where} "
                f"(there are: {', '.join(sorted(record))}); mend the template or the records"
            )

    def fill(self, record: Mapping[str, Any], where: str) -> str:
        """The text with the record's values in place of the fields.

        Raises:
            InputError: the record lacks a field, or its value is null.
        """
        self.check(record, where)
        return "".join(literal + ("" if name is None else _as_text(record[name])) for literal, name in self.pieces)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def parse_template(text: str) -> Template:
    """The template written as `text`.

    Raises:
        InputError: a brace is not closed, or what stands in braces is not a plain name.
    """
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise _bad_template(text, str(error)) from None
    for _, name, spec, conversion in parsed:
        if name is not None and (not name.strip() or spec or conversion):
            raise _bad_template(text, f"{{{name}{'!' if conversion else ':' if spec else ''}…}} is not a plain field")
    return Template(text, tuple((literal, name) for literal, name, _, _ in parsed))


def _bad_template(text: str, problem: str) -> InputError:
    return InputError(
        f"template {shown(text)}: {problem}; write fields as {{name}} and braces in the text as {{{{ }}}}"
    )


@dataclass(frozen=True, slots=True)
class AnswerTemplate:
    """What the right answer is made of: one template, or the templates of a JSON object's values."""

    text: Template | None = None
    values: tuple[tuple[str, Template], ...] = ()

    @property
    def templates(self) -> tuple[Template, ...]:
        """All its templates."""
        return (() if self.text is None else (self.text,)) + tuple(template for _, template in self.values)

    def fill(self, record: Mapping[str, Any], where: str) -> str | None:
        """The answer of a record: text, or JSON with Python's default separators; None without a template."""
        if self.text is not None:
            return self.text.fill(record, where)
        if not self.values:
            return None
        return json.dumps({name: template.fill(record, where) for name, template in self.values}, ensure_ascii=False)


def parse_answer(answer: str | Mapping[str, str] | None) -> AnswerTemplate:
    """The answer template of a recipe.

    Raises:
        InputError: as `parse_template`.
    """
    if isinstance(answer, str):
        return AnswerTemplate(parse_template(answer))
    return AnswerTemplate(values=tuple((name, parse_template(text)) for name, text in (answer or {}).items()))


def load(source: TemplatePrompts, ask: object = None) -> Iterator[Prompt]:
    """One prompt a record, each in one of the templates, chosen at random by the seed; `meta` is the record.

    Raises:
        InputError: a template is malformed or needs a field that a record does not have, the records cannot be read,
            or more draws are asked for than there are combinations.
    """
    templates = tuple(parse_template(text) for text in source.templates)
    answer = parse_answer(source.answer)
    choose = Random(source.seed)
    for where, record in _records(source, (*templates, *answer.templates)):
        text = choose.choice(templates).fill(record, where)
        yield make_prompt((Message("user", text),), answer.fill(record, where), dict(record))


def _records(source: TemplatePrompts, templates: tuple[Template, ...]) -> Iterator[Row]:
    if source.records is not None:
        yield from read_rows(kind_of(source.records), source.records)
        return
    for template in templates:
        template.check(source.fields, _LISTS)
    # Lists that no template uses would make records that differ and prompts that do not.
    needed = frozenset(name for template in templates for name in template.fields)
    used = {name: words for name, words in source.fields.items() if name in needed}
    for record in draws(used, source.draw or 0, source.seed):
        yield _LISTS, record
