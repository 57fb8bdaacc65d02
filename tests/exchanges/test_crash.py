"""kill -9 at any moment: nothing acknowledged is lost, and the budget's bound holds."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.exchanges.ledger import Ledger

WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from spiritsafe.exchanges.commit import GroupCommit
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Exchange, Message, Usage

async def work(commit, lease, numbers, flight):
    for number in numbers:
        flight[0] += 1
        lease.raise_to(flight[0] * 0.5, flight[0] * 100)
        print("sent", flush=True)
        one = Exchange(id=f"{number:032x}", at=0.0, dialect="chat", messages=(Message("user", "q" * number),),
                       usage=Usage(60, 40), dollars=0.5, charged_to="demo")
        await commit.add(one)
        print(one.id, flush=True)
        flight[0] -= 1

async def main():
    with Ledger.open(Path(sys.argv[1])) as ledger:
        lease = ledger.lease("demo")
        numbers = itertools.count(int(sys.argv[2]))
        async with GroupCommit(ledger, max_rows=7, max_wait_s=0.001) as commit:
            flight = [0]
            await asyncio.gather(*[work(commit, lease, numbers, flight) for _ in range(10)])

asyncio.run(main())
"""


def killed_after(folder: Path, first: int, lines: int) -> list[str]:
    """Run a writer that numbers its exchanges from `first`, kill it after some lines; all the lines it wrote."""
    command = [sys.executable, "-c", WRITER, str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        came = [process.stdout.readline().strip() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        # A last line may be cut off: it acknowledges nothing.
        came += process.stdout.read().split("\n")[:-1]
    assert process.returncode == -signal.SIGKILL
    return came


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost_and_nothing_sent_goes_uncharged(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    acknowledged: set[str] = set()
    sent = 0
    for sitting in range(3):
        came = killed_after(tmp_path, 10_000 * sitting, draw.randrange(1, 300))
        sent += came.count("sent")
        acknowledged |= {line for line in came if line != "sent"}

        with Ledger.open(tmp_path) as ledger:
            stored = [one.id for one in ledger.exchanges()]
            assert acknowledged <= set(stored)
            assert all(ledger.has(bytes.fromhex(one)) for one in stored)
            spent = ledger.spent("demo")
            assert spent.exchanges == len(stored) == len(set(stored))
            assert spent.dollars >= sent * 0.5
            assert spent.input_tokens + spent.output_tokens >= sent * 100
            before = (stored, ledger.spent_by_kind("demo"))
        (tmp_path / "index.sqlite").unlink()
        with Ledger.open(tmp_path) as ledger:
            assert ([one.id for one in ledger.exchanges()], ledger.spent_by_kind("demo")) == before
