"""The command `spiritsafe`: one noun a file, loaded when asked for, errors as one line."""

from __future__ import annotations

import os
import sys

from cyclopts import App

import spiritsafe
from spiritsafe.errors import SpiritSafeError

# torch reads this once, when it is imported: threads that spin while they wait halve the speed of a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = App(
    name="spiritsafe",
    help="What flows out of a language model through its API.",
    version=spiritsafe.__version__,
)
app.command("spiritsafe.cli.demo:demo", name="demo")
app.command("spiritsafe.cli.distil:app", name="distil")
app.command("spiritsafe.cli.models:app", name="models")
app.command("spiritsafe.cli.serve:serve", name="serve")
app.command("spiritsafe.cli.ledger:app", name="ledger")
app.command("spiritsafe.cli.guard:app", name="guard")
app.command("spiritsafe.cli.drills:app", name="drills")

STOPPED = 130
"""Exit status of a command that was interrupted, as shells have it."""


def main() -> None:
    """Run the command line; an error this package raises on purpose is one line on stderr and exit status 2."""
    try:
        app()
    except SpiritSafeError as error:
        print(f"spiritsafe: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("spiritsafe: stopped; what was finished is kept, run the same command to go on", file=sys.stderr)
        sys.exit(STOPPED)
