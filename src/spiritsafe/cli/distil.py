"""`spiritsafe distil`: the stages of a run, one command each, and `run` for all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from spiritsafe.distil.recipe import Recipe, load
from spiritsafe.distil.run import RunFolder
from spiritsafe.distil.stages import Sitting, do, do_all

app = App(name="distil", help="Learn from a teacher, with permission; say what was recovered at what cost.")


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """What every stage takes beside the recipe.

    Attributes:
        out: The run folder; runs/NAME by default.
        ledger: The ledger of paid exchanges; "ledger" beside the run folder by default.
        again: Do the stage again although it is up to date.
    """

    out: Path | None = None
    ledger: Path | None = None
    again: Annotated[bool, Parameter(negative="")] = False


EVERYTHING = Options()


def _sitting(name: str, options: Options) -> Sitting:
    recipe = recipe_named(name)
    out = options.out or Path("runs") / recipe.name
    ledger = options.ledger or out.parent / "ledger"
    first = os.environ.get("RANK", "0") == "0"  # torchrun sets it
    return Sitting(recipe, name, RunFolder(out), ledger, options.again, lambda line: print(line, flush=True), first)


def recipe_named(name: str) -> Recipe:
    """The recipe at the path `name`, else the one of that name in the package."""
    packaged = files("spiritsafe") / "recipes" / f"{name}.toml"
    if not Path(name).exists() and packaged.is_file():
        with as_file(packaged) as path:
            return load(path)
    return load(Path(name))


@app.command
def plan(recipe: str, options: Options = EVERYTHING) -> None:
    """Say what a run will take, before a cent is spent, and whether the teacher's terms permit it."""
    do("plan", _sitting(recipe, options))


@app.command
def collect(recipe: str, options: Options = EVERYTHING) -> None:
    """Ask the teacher for what is not in the ledger yet."""
    do("collect", _sitting(recipe, options))


@app.command
def curate(recipe: str, options: Options = EVERYTHING) -> None:
    """Cut what should not be learned from, each cut with its reason."""
    do("curate", _sitting(recipe, options))


@app.command
def check(recipe: str, options: Options = EVERYTHING) -> None:
    """Find what would waste the training, before it."""
    do("check", _sitting(recipe, options))


@app.command
def train(recipe: str, options: Options = EVERYTHING) -> None:
    """Train one student for each budget of kept exchanges; under torchrun, on several devices."""
    do("train", _sitting(recipe, options))


@app.command
def evaluate(recipe: str, options: Options = EVERYTHING) -> None:
    """Ask base, students and teacher the same held-out prompts."""
    do("evaluate", _sitting(recipe, options))


@app.command
def report(recipe: str, options: Options = EVERYTHING) -> None:
    """Write report.html, report.json and the cards."""
    do("report", _sitting(recipe, options))


@app.command
def run(recipe: str, options: Options = EVERYTHING) -> None:
    """Do every stage that is not up to date; stop at any moment and run again."""
    do_all(_sitting(recipe, options))
