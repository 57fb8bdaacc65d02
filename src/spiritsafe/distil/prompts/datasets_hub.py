"""Prompts from a dataset of the `datasets` library, by name, streamed (extra `datasets`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts.rows import prompt_of
from spiritsafe.distil.recipe import DatasetPrompts
from spiritsafe.errors import InputError, MissingExtra, shown

Opener: TypeAlias = Callable[[str, str | None, str], Iterable[Mapping[str, Any]]]
"""Rows of the dataset of this name, config and split."""


def load(source: DatasetPrompts, ask: object = None) -> Iterator[Prompt]:
    """The prompts of a dataset, in its order.

    Raises:
        InputError: the dataset cannot be opened or read, or a row is not what is wanted; the message names the row.
        MissingExtra: the extra is not installed.
    """
    return load_with(open_streaming, source)


def load_with(opener: Opener, source: DatasetPrompts) -> Iterator[Prompt]:
    """As `load`, with the rows taken from `opener`."""
    rows = iter(_opened(opener, source))
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # the library raises whatever its network and file layers raise
            raise _unreadable(source, error) from None
        number += 1
        yield prompt_of(row, f"{source.name}[{source.split}]: row {number}", source.prompt_field, source.answer_field)


def _opened(opener: Opener, source: DatasetPrompts) -> Iterable[Mapping[str, Any]]:
    try:
        return opener(source.name, source.config, source.split)
    except MissingExtra:
        raise
    except Exception as error:  # as above
        raise _unreadable(source, error) from None


def _unreadable(source: DatasetPrompts, error: Exception) -> InputError:
    said = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"cannot read dataset {shown(source.name)} (config {source.config}, split {source.split}): {said[:200]}; "
        "check name, config, split and the network"
    )


def open_streaming(name: str, config: str | None, split: str) -> Iterable[Mapping[str, Any]]:
    """Open a dataset with the `datasets` library without downloading it whole.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise MissingExtra.of("reading prompts from a dataset by name", "datasets") from None
    rows: Iterable[Mapping[str, Any]] = load_dataset(name, config, split=split, streaming=True)
    return rows
