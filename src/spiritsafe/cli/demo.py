"""`spiritsafe demo`: both sides of one API on this machine: a gateway before a teacher, and a student behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from spiritsafe.cli.distil import recipe_named
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder
from spiritsafe.distil.stages import Sitting, do_all
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.settings import LogSettings, Settings, UpstreamSettings

ACCOUNT = "demo"
SEGMENT = "licensed"
"""The contract of customers who may learn from the model."""

KEY_VARIABLE = "SPIRITSAFE_DEMO_KEY"


def demo(*, out: Path = Path("runs/demo")) -> None:
    """Distil a small teacher that stands behind a gateway; what was asked and answered is in the gateway's log too.

    Parameters
    ----------
    out:
        The run folder; the gateway keeps its accounts and its log in `guard` inside it.
    """
    behind = partial(behind_gateway, out / "guard")
    do_all(Sitting(recipe_named("demo"), "demo", RunFolder(out), out.parent / "ledger", False, _say, at_hand=behind))


@contextmanager
def behind_gateway(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> Iterator[Recipe]:
    """`recipe` with its embedded teacher behind a gateway that keeps its data in `folder`, while the block lasts."""
    from spiritsafe.guard.gateway.supervisor import started

    model = recipe.teacher.model
    upstream = UpstreamSettings("teacher", "openai", "", embedded=model, models=(model,))
    settings = Settings(
        host="127.0.0.1",
        port=0,
        ops_host="127.0.0.1",
        ops_port=0,
        workers=1,
        data=str(folder),
        policy=str(_policy(folder)),
        upstreams=(upstream,),
        log=LogSettings(compact_s=0),
    )
    key = _key(folder)
    os.environ[KEY_VARIABLE] = key
    with started(settings, say=say) as gateway:
        say(f"gateway: {model} answers at {gateway.url}/v1 to the account '{ACCOUNT}' ({SEGMENT})")
        reached = {"base_url": f"{gateway.url}/v1", "key_env": KEY_VARIABLE}
        yield recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update=reached)})
    say(f"gateway: every exchange is on record in {folder / 'log'}")


def _policy(folder: Path) -> Path:
    from spiritsafe.guard.policy_file import STARTING_TEXT

    path = folder / "policy.toml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(STARTING_TEXT, encoding="utf-8")
    return path


def _key(folder: Path) -> str:
    """A key that works: of an account from an earlier sitting a new one, since no key can be read back."""
    with Accounts.open(folder) as accounts:
        if any(account.name == ACCOUNT for account in accounts.all()):
            return accounts.rotate(ACCOUNT, overlap_s=0.0)
        return accounts.add(ACCOUNT, segment=SEGMENT)


def _say(line: str) -> None:
    print(line, file=sys.stdout, flush=True)
