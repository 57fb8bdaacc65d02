"""Fuzzes one target: `python -m fuzz.one TARGET [options of libFuzzer] [folders of inputs]`."""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    """Run until libFuzzer stops."""
    # h11 is watched too: an input that takes it elsewhere than us is the one that is looked for.
    with atheris.instrument_imports(include=["spiritsafe", "h11"]):
        target = importlib.import_module(f"fuzz.{sys.argv[1]}")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
