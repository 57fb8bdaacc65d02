"""`spiritsafe guard calibrate`, `replay` and `watch`: learn what is ordinary, and look for what is not."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from spiritsafe.cli.guard_folder import HERE
from spiritsafe.errors import InputError, shown
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.watching import watch_alone
from spiritsafe.stats.conformal import accounts_needed, false_alarm_bound

if TYPE_CHECKING:
    from spiritsafe.guard.watch.accounts import Crowd
    from spiritsafe.guard.watch.reference import Reference

STEP_S = 1.0
_LEVELS = (0.05, 0.01, 0.001, 0.0001)


def _one_thread() -> None:
    """Before numpy is imported: its threads wait for one another over products as small as these."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def calibrate(*log: Path, out: Path, leave_out: Path | None = None) -> None:
    """Learn what is ordinary from your own traffic, by segment; say which levels can be promised and which cannot.

    Parameters
    ----------
    log:
        Files of exchange lines, or folders of such (`spiritsafe guard log export` writes them).
    out:
        The reference to write.
    leave_out:
        A file with a name of an account in each line, which are not to count as ordinary.
    """
    _one_thread()
    from spiritsafe.guard.watch.calibrate import calibrate as learn
    from spiritsafe.guard.watch.logs import Logs

    _wants(log)
    logs = Logs(log)
    names = _names(leave_out) if leave_out else frozenset()
    reference = learn(lambda: logs, names)
    reference.write(out)
    print(f"{reference.exchanges:,} exchanges of {reference.days:.1f} days; {out} written")
    for segment, ranks in reference.segments.items():
        can = [level for level in _LEVELS if ranks.accounts >= accounts_needed(level)]
        cannot = [level for level in _LEVELS if level not in can]
        print(f"{segment}: {ranks.accounts:,} accounts")
        for level in can:
            bound = false_alarm_bound(ranks.accounts, level)
            print(
                f"  {level:.2%} of honest accounts can be promised on average; with 95 % confidence below {bound:.2%}"
            )
        for level in cannot:
            print(f"  {level:.2%} cannot be promised: it needs {accounts_needed(level):,} accounts; alarms are void")
    _passed(logs.passed.reasons, logs.passed.duplicates)


def replay(
    *log: Path,
    reference: Path,
    out: Path,
    account_level: float = 0.001,
    campaign_fdr: float = 0.01,
    account_fdr: float | None = None,
    ray: str = "",
    shards: int = 0,
) -> None:
    """Run every detector over logs; write alarms.jsonl and summary.json.

    Parameters
    ----------
    log:
        Files of exchange lines, or folders of such.
    reference:
        What `spiritsafe guard calibrate` has written.
    out:
        The folder for the two files.
    account_level:
        The chance that an honest account ever raises an alarm, within as many days as the reference has.
    campaign_fdr:
        The false discovery rate among campaigns.
    account_fdr:
        The false discovery rate among accounts that are reported by themselves: they wait until so few can be false.
    ray:
        Share the accounts out over the Ray cluster whose head is at this host:port; the alarms are the same.
    shards:
        Over so many processes of it; 0 for as many as it has processors.
    """
    _one_thread()
    from spiritsafe.guard.watch.logs import Logs
    from spiritsafe.guard.watch.reference import read_reference
    from spiritsafe.guard.watch.replay import replay as run
    from spiritsafe.guard.watch.watch import Levels

    _wants(log)
    ordinary, logs = read_reference(reference), Logs(log)
    levels = Levels(account_level, account_level, campaign_fdr, account_fdr)
    with _accounts(ray, shards, ordinary) as accounts:
        summary = run(logs, ordinary, out, levels, lambda seen: None, accounts)
    print(f"{summary['exchanges']:,} exchanges of {summary['accounts']:,} accounts; {out / 'alarms.jsonl'} written")
    for scope, count in summary["alarms"].items():
        print(f"{scope}: {count:,} alarms about {summary['accounts_named'][scope]:,} accounts")
    for campaign in summary["campaigns"]:
        print(f"  {campaign['id']}: {campaign['accounts']:,} accounts, e-value {campaign['e_value']:.3g}")
    for reason in summary["void"]:
        print(f"void: {reason}")
    _passed({reason: found["lines"] for reason, found in summary["passed_over"].items()}, summary["duplicates"])


def _accounts(ray: str, shards: int, reference: Reference) -> AbstractContextManager[Crowd | None]:
    if ray:
        from spiritsafe.guard.watch.cluster import cluster

        return cluster(ray, reference, shards)
    if shards:
        raise InputError(f"got {shards} shards and no cluster, wanted --ray HOST:PORT with it")
    return nullcontext()


def watch(
    *,
    reference: Path,
    folder: Path = HERE,
    account_level: float = 0.001,
    campaign_fdr: float = 0.01,
    account_fdr: float | None = None,
    redis_url: str = "",
) -> None:
    """Watch a running gateway: look for campaigns in its log as it is written, and hand what is found to its policy.

    Parameters
    ----------
    reference:
        What `spiritsafe guard calibrate` has written.
    folder:
        Where the gateway keeps its data.
    account_level:
        As for `replay`.
    campaign_fdr:
        As for `replay`.
    account_fdr:
        As for `replay`.
    redis_url:
        As in guard.toml: what the watches of other gateways see counts too.
    """
    _one_thread()
    from spiritsafe.guard.watch.beside import counters_of, step
    from spiritsafe.guard.watch.live import Live
    from spiritsafe.guard.watch.others import joined
    from spiritsafe.guard.watch.reference import read_reference
    from spiritsafe.guard.watch.watch import Levels

    levels = Levels(account_level, account_level, campaign_fdr, account_fdr)
    guard = GuardFolder(folder)
    with closing(watch_alone(guard, patience_s=0.5)):
        others = joined(redis_url, folder, os.environ, _complain) if redis_url else None
        live = Live(folder, read_reference(reference), levels, others)
        counters = counters_of(guard)
        print(f"watching {folder}; alarms go to {folder / 'alarms.jsonl'}", flush=True)
        while True:
            step(live, counters, time.time(), lambda line: print(line, flush=True))
            time.sleep(STEP_S)


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wants(log: tuple[Path, ...]) -> None:
    if not log:
        raise InputError("got no log, wanted at least one file of exchange lines")


def _names(path: Path) -> frozenset[str]:
    try:
        return frozenset(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {shown(str(path))}: {error}; give a file with an account a line") from None


def _passed(reasons: dict[str, int], duplicates: int) -> None:
    for reason, count in reasons.items():
        print(f"passed over {count:,} lines: {shown(reason)}", file=sys.stderr)
    if duplicates:
        print(f"passed over {duplicates:,} exchanges that were there before", file=sys.stderr)
