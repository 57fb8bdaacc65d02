"""The shape of the project: what the layers, tables and files promise."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "spiritsafe"
BAGS = {"utils", "util", "common", "helpers", "lib", "misc", "experimental"}


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def test_no_bag_modules() -> None:
    assert not [p for p in SRC.rglob("*") if p.stem in BAGS]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SRC)))
def test_every_module_says_what_it_is_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    assert ast.get_docstring(tree) or not tree.body, "a module docstring is missing"
    assert text.count("\n") <= 420, "longer than one sitting"
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 80
    ]
    assert not long


def loaded_by(*imports: str) -> set[str]:
    """Names of the modules in sys.modules after importing `imports` in a fresh interpreter."""
    code = f"import sys\nfor name in {imports!r}: __import__(name)\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_collector_starts_without_anything_heavy() -> None:
    loaded = loaded_by("spiritsafe.cli.main", "spiritsafe.distil.collect", "spiritsafe.models.api")

    assert not loaded & {"torch", "transformers", "numpy", "pyarrow", "duckdb", "datasets", "jsonschema"}
