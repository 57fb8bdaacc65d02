"""Other tools' logs into exchanges: one file a format, and `FORMATS`, the table of them.

    report = import_log(Path("spend.jsonl"), "litellm", Path("exchanges.jsonl"))
    report.exchanges, report.passed_over, report.bad     # bad: line number and what is wrong with it

rows     a file as rows, each with its number
otlp     the JSON encoding of OpenTelemetry's protocol: values, spans, log records
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.files import write_exchanges
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.log.imports.exchange_lines import read_exchange_lines
from spiritsafe.guard.log.imports.litellm import read_litellm
from spiritsafe.guard.log.imports.otel import read_otel
from spiritsafe.guard.log.imports.rows import BadRow, Format, rows_of

FORMATS: dict[str, Format] = {"exchanges": read_exchange_lines, "litellm": read_litellm, "otel": read_otel}
"""Every format that can be read, by name."""


@dataclass(slots=True)
class Imported:
    """What came of an import.

    Attributes:
        exchanges: written.
        passed_over: what is well-formed and tells of no exchange, such as other spans.
        bad: what could not be read, with its number.
    """

    exchanges: int = 0
    passed_over: int = 0
    bad: list[BadRow] = field(default_factory=list)


def import_log(source: Path, name: str, target: Path) -> Imported:
    """Write the exchanges of the log at `source`, which is in the format `name`, to `target` as exchange lines.

    Raises:
        InputError: there is no such format, or the file cannot be read.
        StoreError: the disk did not take it; `target` is as it was then.
    """
    if name not in FORMATS:
        raise InputError(f"got log format {shown(name)}, wanted one of {', '.join(FORMATS)}; choose one of these")
    report = Imported()
    report.exchanges = write_exchanges(target, _exchanges(source, FORMATS[name], report))
    return report


def _exchanges(source: Path, read: Format, report: Imported) -> Iterator[Exchange]:
    for found in read(partial(rows_of, source)):
        if found is None:
            report.passed_over += 1
        elif isinstance(found, BadRow):
            report.bad.append(found)
        else:
            yield found
