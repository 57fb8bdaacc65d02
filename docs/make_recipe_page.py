"""Write docs/reference/recipe.md from the recipe's own classes: `python docs/make_recipe_page.py`.

`tests/test_docs.py` fails while the page differs from what this prints.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from spiritsafe.distil import recipe as words

SECTIONS: tuple[tuple[str, type[words.Section]], ...] = (
    ("top level", words.Recipe),
    ("[teacher]", words.Teacher),
    ("[teacher.sampling]", words.SamplingSettings),
    ("[teacher.limits]", words.Limits),
    ("[teacher.prices]", words.Prices),
    ("[teacher.terms]", words.Terms),
    ("[[teacher.shots]]", words.Shot),
    ("[student]", words.Student),
    ('[prompts], kind = "jsonl", "csv" or "parquet"', words.FilePrompts),
    ('[prompts], kind = "datasets"', words.DatasetPrompts),
    ('[prompts], kind = "template"', words.TemplatePrompts),
    ('[prompts], kind = "expand"', words.ExpandPrompts),
    ("[budget]", words.Budget),
    ("[[curate]]", words.Cut),
    ("[check]", words.Check),
    ("[train]", words.Train),
    ("[train.lora]", words.Lora),
    ("[evaluate]", words.Evaluate),
    ("[evaluate.verifier]", words.Verifier),
)


def page() -> str:
    """The whole page."""
    parts = [
        "# Recipe fields\n",
        "One TOML file is one run. Unknown fields are errors; relative paths are taken from the recipe's folder.",
        "This page is written by `python docs/make_recipe_page.py` from `src/spiritsafe/distil/recipe.py`.\n",
    ]
    for title, section in SECTIONS:
        parts += [
            f"## {title}\n",
            inspect.cleandoc(section.__doc__ or ""),
            "",
            "| field | type | default |",
            "|---|---|---|",
        ]
        parts += [row(name, field) for name, field in section.model_fields.items()]
        parts.append("")
    return "\n".join(parts)


def row(name: str, field: Any) -> str:
    """One field's row of the table."""
    kind = inspect.formatannotation(field.annotation).replace("spiritsafe.distil.recipe.", "").replace("|", "or")
    bounds = ", ".join(
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if hasattr(rule, attribute)
    )
    default = "required" if field.default is PydanticUndefined else default_text(field.default)
    return f"| `{name}` | {kind}{f' ({bounds})' if bounds else ''} | {default} |"


def default_text(value: Any) -> str:
    """How a default is shown."""
    if isinstance(value, words.Section):
        return "as below"
    return "none" if value is None else f"`{value!r}`"


if __name__ == "__main__":
    Path(__file__).with_name("reference").joinpath("recipe.md").write_text(page(), encoding="utf-8")
