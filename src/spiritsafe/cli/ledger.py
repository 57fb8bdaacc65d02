"""`spiritsafe ledger`: look into the ledger of paid exchanges, and take it elsewhere."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.files import write_exchanges
from spiritsafe.exchanges.ledger import Ledger

app = App(name="ledger", help="The ledger of paid exchanges.")


@app.command
def show(folder: Path) -> None:
    """Say what was paid, by the recipe that was charged."""
    with _opened(folder) as ledger:
        names = {one.charged_to for records in (ledger.exchanges(), ledger.attempts()) for one in records}
        for name in sorted(names):
            spent = ledger.spent(name)
            known = f"${spent.nanodollars / 1e9:,.6f}" + (" and more" if spent.unknown_prices else "")
            print(
                f"{name}: {spent.exchanges:,} exchanges, {spent.attempts:,} failed attempts that may have been billed, "
                f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out, {known}"
            )
        if not names:
            print("nothing was paid")


@app.command
def export(folder: Path, to: Path) -> None:
    """Write all exchanges to a .jsonl or .parquet file."""
    with _opened(folder) as ledger:
        if to.suffix == ".parquet":
            from spiritsafe.exchanges.parquet import to_parquet

            count = to_parquet(to, ledger.exchanges())
        elif to.suffix == ".jsonl":
            count = write_exchanges(to, ledger.exchanges())
        else:
            raise InputError(f"got file {shown(str(to))}, wanted one that ends in .jsonl or .parquet")
    print(f"{count:,} exchanges in {to}")


def _opened(folder: Path) -> Ledger:
    if not folder.exists():
        raise InputError(f"got no ledger at {shown(str(folder))}, wanted its folder, e.g. runs/ledger")
    return Ledger.open(folder, read_only=True)
