"""`spiritsafe guard policy|rule|decisions`: what was decided in advance, by a person, and about whom."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime
from pathlib import Path

from cyclopts import App

from spiritsafe.cli.guard_folder import HERE
from spiritsafe.errors import InputError
from spiritsafe.guard.policy import Action, Decision
from spiritsafe.guard.rulings import Rulings

app = App(name="policy", help="The contracts and rules in policy.toml, and their history.")


@app.command
def check(policy: Path = Path("policy.toml")) -> None:
    """Say whether a policy.toml is right, without putting it in force."""
    from spiritsafe.guard.policy_file import read_policy

    _, parsed = read_policy(policy)
    print(f"{policy}: {parsed.mode}, {len(parsed.segments)} segments, {len(parsed.rules)} rules")


@app.command
def history(*, folder: Path = HERE) -> None:
    """Say which policies were in force, and since when; the first line is the one that is."""
    with Rulings.open(folder) as rulings:
        for version in rulings.policies():
            print(f"{version.number}: since {_when(version.at)}, sha256 {version.sha256[:16]}")


@app.command
def show(number: int, *, folder: Path = HERE) -> None:
    """Print the text of a policy of the history."""
    with Rulings.open(folder) as rulings:
        found = next((version for version in rulings.policies() if version.number == number), None)
    if found is None:
        raise InputError(f"got policy {number}, wanted one of the history; list it with  guard policy history")
    print(found.text, end="")


def rule(
    account: str, action: Action, *, reason: str, by: str | None = None, days: float | None = None, folder: Path = HERE
) -> None:
    """Decide about an account as a person; outranks every rule, in enforce mode.

    Parameters
    ----------
    account:
        About whom.
    action:
        allow, observe, mark, strip, throttle, challenge or block.
    reason:
        Why, for those who look it up.
    by:
        Who decides; your user name by default.
    days:
        How long it holds; until another ruling by default.
    folder:
        Where the gateway keeps its data.
    """
    expires_at = None if days is None else time.time() + days * 86400
    with Rulings.open(folder) as rulings:
        decision = rulings.rule(account, action, reason, by=by or getpass.getuser(), expires_at=expires_at)
    print(f"{account}: {action}, as soon as there is a policy" if decision is None else _line(decision))


def decisions(name: str | None = None, *, account: str | None = None, folder: Path = HERE) -> None:
    """Say what was decided: all that is in force, or of one account, or the decision of that id.

    Parameters
    ----------
    name:
        The id of a decision, as a customer was told it.
    account:
        All that was ever decided about this account.
    folder:
        Where the gateway keeps its data.
    """
    with Rulings.open(folder) as rulings:
        if name is not None:
            found = [rulings.decision(name)]
        elif account is not None:
            found = rulings.decisions(account)
        else:
            found = list(rulings.standing(time.time()).values())
    for decision in found:
        print(_line(decision))


def _line(decision: Decision) -> str:
    until = "" if decision.expires_at is None else f" until {_when(decision.expires_at)}"
    shadow = " (shadow: nothing comes of it)" if decision.shadow else ""
    reasons = "; ".join(decision.reasons) or "no reason given"
    return f"{decision.id}: {decision.account}, {decision.action}{until} by {decision.by}{shadow}: {reasons}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
