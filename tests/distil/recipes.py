"""Recipes of tests that ask a teacher at an address of their own."""

from __future__ import annotations

from typing import Any

from spiritsafe.distil.recipe import Recipe

NOBODY = "http://127.0.0.1:9/v1"
"""An address where nobody answers, for teachers that are not asked over HTTP."""


def teacher_at(base_url: str = NOBODY, **more: Any) -> dict[str, Any]:
    """The section of a teacher that costs nothing and permits learning; `more` are further fields, or others."""
    return {
        "endpoint": "mine",
        "model": "m",
        "base_url": base_url,
        "dialect": "chat",
        "prices": {"input_per_million": 0.0, "output_per_million": 0.0},
        "terms": {"terms": "permits"},
        **more,
    }


def recipe_asking(teacher: dict[str, Any], **sections: Any) -> Recipe:
    """The smallest recipe with that teacher; `sections` are further ones, or others."""
    raw = {
        "name": "demo",
        "teacher": teacher,
        "student": {"model": "s"},
        "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
        "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
    }
    return Recipe.model_validate(raw | sections)
