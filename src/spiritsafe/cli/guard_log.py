"""`spiritsafe guard log`: what becomes of the gateway's log: into Parquet, out again, swept; other tools' logs in."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

from cyclopts import App

from spiritsafe.cli.guard_folder import HERE
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.files import write_exchanges
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.watching import kept_from_s

app = App(name="log", help="The log of a gateway, and logs of other tools.")


@app.command
def compact(*, buckets: int = 8, folder: Path = HERE) -> None:
    """Bring the log's Parquet files up to date, now; a gateway that runs does so by itself.

    Segments that a watch has yet to weigh stay.

    Parameters
    ----------
    buckets:
        Files an hour, each with some of the accounts; the number of a log's first time stays.
    folder:
        Where the gateway keeps its data.
    """
    from spiritsafe.guard.log.compact import compact as bring_up_to_date
    from spiritsafe.guard.log.compact import retention_of

    guard, now_s = GuardFolder(folder), time.time()
    from_s = kept_from_s(guard, now_s)
    linger_s = 0.0 if from_s is None else now_s - from_s
    report = bring_up_to_date(guard.log, now_s, buckets, retention=retention_of(folder), linger_s=linger_s)
    print(f"{report.exchanges:,} exchanges into {report.parts:,} files, {report.merged:,} files merged")
    for line in report.lines():
        print(line, file=sys.stderr)


@app.command
def sweep(*, dry_run: bool = False, folder: Path = HERE) -> None:
    """Remove what the contracts' days are over for; a gateway that runs does so by itself.

    Parameters
    ----------
    dry_run:
        Only say what would go.
    folder:
        Where the gateway keeps its data.
    """
    from spiritsafe.guard.log.compact import retention_of
    from spiritsafe.guard.log.retention import sweep as remove

    swept = remove(GuardFolder(folder).log, time.time(), retention_of(folder), dry_run=dry_run)
    print(f"{swept.files:,} files, {swept.size:,} bytes {'would go' if dry_run else 'are gone'}")
    for segment, files in sorted(swept.by_segment.items()):
        print(f"{segment}: {files:,} files")


@app.command
def export(to: Path, *, account: str | None = None, segment: str | None = None, folder: Path = HERE) -> None:
    """Write the exchanges that were compacted, with their bodies, to a .jsonl or .parquet file.

    Parameters
    ----------
    to:
        The file.
    account:
        Of this account alone.
    segment:
        Of this segment alone.
    folder:
        Where the gateway keeps its data.
    """
    from spiritsafe.exchanges.parquet import to_parquet
    from spiritsafe.guard.log.stored import stored_exchanges

    write = {".jsonl": write_exchanges, ".parquet": to_parquet}.get(to.suffix)
    if write is None:
        raise InputError(f"got file {shown(str(to))}, wanted one that ends in .jsonl or .parquet")
    print(f"{write(to, stored_exchanges(GuardFolder(folder).log, segment, account)):,} exchanges in {to}")


@app.command(name="import")
def import_from(source: Path, to: Path, *, form: Literal["exchanges", "litellm", "otel"]) -> None:
    """Read another tool's log into a file of exchange lines, so that it can be looked at like our own.

    Parameters
    ----------
    source:
        The log: JSON or JSON lines.
    to:
        The .jsonl file to write.
    form:
        Whose log it is: LiteLLM's, OpenTelemetry's gen_ai spans, or exchange lines.
    """
    from spiritsafe.guard.log.imports import import_log

    report = import_log(source, form, to)
    print(f"{report.exchanges:,} exchanges in {to}; {report.passed_over:,} rows tell of none")
    for bad in report.bad:
        print(f"{source}:{bad.number}: {bad.why}", file=sys.stderr)
