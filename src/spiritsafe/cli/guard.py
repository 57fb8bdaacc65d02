"""`spiritsafe guard`: the locked box in front of a model: the gateway, and its customers' accounts and keys."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from spiritsafe.cli.guard_folder import HERE
from spiritsafe.guard.accounts import OVERLAP_S, SEGMENTS, Accounts

app = App(name="guard", help="In front of your own model: who may ask, and what leaves it.")
app.command("spiritsafe.cli.guard_serve:serve", name="serve")
app.command("spiritsafe.cli.guard_serve:decide", name="decide")
app.command("spiritsafe.cli.guard_serve:init", name="init")
app.command("spiritsafe.cli.guard_detect:calibrate", name="calibrate")
app.command("spiritsafe.cli.guard_detect:replay", name="replay")
app.command("spiritsafe.cli.guard_detect:watch", name="watch")
app.command("spiritsafe.cli.guard_log:app", name="log")
app.command("spiritsafe.cli.guard_policy:app", name="policy")
app.command("spiritsafe.cli.guard_policy:rule", name="rule")
app.command("spiritsafe.cli.guard_policy:decisions", name="decisions")
accounts = App(name="accounts", help="Customers, their keys and their segments.")
app.command(accounts)


@accounts.command
def add(name: str, *, segment: str = SEGMENTS[0], folder: Path = HERE) -> None:
    """Make an account and show its key, this once.

    Parameters
    ----------
    name:
        What the log and decisions will call it.
    segment:
        Its contract: ordinary, batch, evaluation, licensed or internal.
    folder:
        Where accounts are kept.
    """
    with Accounts.open(folder) as store:
        print(store.add(name, segment=segment))


@accounts.command(name="list")
def list_accounts(*, folder: Path = HERE) -> None:
    """Say which accounts there are, with the beginning of each key that works."""
    with Accounts.open(folder) as store:
        for account in store.all():
            state = "revoked" if account.revoked_at is not None else ", ".join(account.hints) or "no key"
            print(f"{account.name}: {account.segment}, {state}")


@accounts.command
def rotate(name: str, *, overlap_hours: float = OVERLAP_S / 3600, folder: Path = HERE) -> None:
    """Give an account another key and show it, this once.

    Parameters
    ----------
    name:
        Which account.
    overlap_hours:
        How long its old keys still work.
    folder:
        Where accounts are kept.
    """
    with Accounts.open(folder) as store:
        print(store.rotate(name, overlap_s=overlap_hours * 3600))


@accounts.command
def note(
    name: str,
    *,
    org: str | None = None,
    payment: str | None = None,
    email: str | None = None,
    email_domain: str | None = None,
    country: str | None = None,
    folder: Path = HERE,
) -> None:
    """Note what is known of an account beside its requests; every exchange of it carries that.

    Parameters
    ----------
    name:
        Which account.
    org:
        Its organisation; "" takes a fact away, here and below.
    payment:
        A hash of its means of payment.
    email:
        A hash of its e-mail address.
    email_domain:
        The domain of that address.
    country:
        Its country.
    folder:
        Where accounts are kept.
    """
    said = {"org": org, "payment": payment, "email": email, "email_domain": email_domain, "country": country}
    with Accounts.open(folder) as store:
        store.note(name, {fact: value for fact, value in said.items() if value is not None})
        facts = store.get(name).facts
    print(f"{name}: {', '.join(f'{fact} {value}' for fact, value in facts.items()) or 'nothing noted'}")


@accounts.command
def revoke(name: str, *, folder: Path = HERE) -> None:
    """End an account and all its keys."""
    with Accounts.open(folder) as store:
        store.revoke(name)
        print(f"{name}: revoked")


@accounts.command
def segment(name: str, to: str, *, folder: Path = HERE) -> None:
    """Put an account under another contract: ordinary, batch, evaluation, licensed or internal."""
    with Accounts.open(folder) as store:
        store.set_segment(name, to)
        print(f"{name}: {to}")
