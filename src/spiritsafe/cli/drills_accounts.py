"""`spiritsafe drills accounts|enrol`: the customers of a scenario, as an operator would come to have them."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from spiritsafe.cli.guard_folder import HERE
from spiritsafe.drills.enrolment import Member, members, write_keys
from spiritsafe.drills.scenario import read_scenario
from spiritsafe.guard.accounts import Accounts


def accounts(scenario: Path) -> None:
    """Say which accounts a scenario has, one JSON object a line: for a gateway that is not ours.

    Parameters
    ----------
    scenario:
        The scenario's TOML file.
    """
    for member in members(read_scenario(scenario)):
        print(orjson.dumps(member._asdict()).decode())


def enrol(scenario: Path, *, keys: Path, folder: Path = HERE) -> None:
    """Make a scenario's accounts in a gateway's data folder, with their contracts and what is known of them.

    Accounts that are there already get new keys. Use a folder made for drills, not the one with your real customers.

    Parameters
    ----------
    scenario:
        The scenario's TOML file.
    keys:
        The file that their keys are written to.
    folder:
        Where the gateway keeps its accounts.
    """
    wanted = list(members(read_scenario(scenario)))
    with Accounts.open(folder) as store:
        known = {account.name for account in store.all()}
        count = write_keys(keys, ((member.account, _key(store, member, known)) for member in wanted))
    print(f"{count:,} accounts in {folder}, their keys in {keys}")
    print("a gateway that runs sees them within a second or two", file=sys.stderr)


def _key(store: Accounts, member: Member, known: set[str]) -> str:
    if member.account in known:
        store.set_segment(member.account, member.segment)
        key = store.rotate(member.account, overlap_s=0.0)
    else:
        key = store.add(member.account, segment=member.segment)
    store.note(member.account, member.facts)
    return key
