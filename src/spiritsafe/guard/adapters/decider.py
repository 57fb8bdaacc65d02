"""What a process beside a gateway decides by: the same accounts, policy, decisions and limits, from the same folder.

    with Decider(settings, say=print) as decider:
        decider.follow()                      # every quarter of a second or so
        passed = decider.passed(key)          # or a BadRequest with status, message and headers

What such a process counts it keeps in cells of its own, which all of its kind and no worker of the gateway read: a
customer who comes both ways has its minute's requests twice at most. It sees no end of a request, so none of them
counts as open: a limit on concurrency does not hold here.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from spiritsafe.errors import InputError, SpiritSafeError, StoreError, shown
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book, Known
from spiritsafe.guard.gateway.cells import Cells
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.following import Following
from spiritsafe.guard.gateway.gate import Gate
from spiritsafe.guard.gateway.heads import BadRequest
from spiritsafe.guard.limits import Meter
from spiritsafe.guard.policy import Action, Decision, policy_from_json
from spiritsafe.guard.policy_file import PolicyFile
from spiritsafe.guard.rulings import UNKNOWN_SEGMENT, Rulings
from spiritsafe.guard.settings import Settings

MOST_BESIDE = 8
"""Processes that may count beside one gateway."""

SETTLE_S = 5.0
"""How often decisions are looked at that change by time alone; a gateway's supervisor does it as well."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that may go on.

    Attributes:
        account, segment: whose it is, and under which contract.
        known: the account, with its limits; None where nobody has added it here.
        action: what holds for it; "allow" where nothing does, and in shadow mode.
        decision: what was decided about the account, in shadow mode too; None where nothing was.
    """

    account: str
    segment: str
    known: Known | None
    action: Action
    decision: Decision | None


class Decider:
    """The open folder of a gateway, with the policy that its settings name. For one thread.

    Args:
        settings: of the gateway.
        say: is told in a line what goes wrong later.
        now_s: the clock, unix seconds.

    Attributes:
        gate: what is known; see `gateway.gate`.

    Raises:
        InputError: the policy is wrong.
        StoreError: the folder cannot be used.
    """

    def __init__(self, settings: Settings, *, say: Say, now_s: Callable[[], float] = time.time) -> None:
        folder = GuardFolder(settings.folder)
        folder.make()
        with ExitStack() as stack:
            self._accounts = stack.enter_context(Accounts.open(folder.path))
            self._rulings = stack.enter_context(Rulings.open(folder.path))
            self._policy = PolicyFile(Path(settings.policy), self._rulings)
            self._policy.follow()
            meter, handle = _own_meter(folder, settings.workers)
            stack.callback(os.close, handle)
            self.gate = Gate(Book(self._accounts), policy_from_json(self._rulings.current_policy()), meter, now_s)
            self._following = Following(self.gate, self._rulings)
            self._stack = stack.pop_all()
        self._say = say
        self._said = ""
        self._settled_s = float("-inf")
        self._named: dict[str, Known | None] = {}
        self._named_version = -1

    def follow(self) -> None:
        """Look for what has changed: keys, policy, decisions. What goes wrong is said once, and nothing changes."""
        try:
            if self._policy.follow():
                self._say("policy: the new one is in force")
            self._settle(self.gate.now_s())
            self._following.look()
        except SpiritSafeError as error:
            if str(error) != self._said:
                self._said = str(error)
                self._say(f"nothing has changed, since {error}")
        else:
            self._said = ""

    def _settle(self, now_s: float) -> None:
        if abs(now_s - self._settled_s) >= SETTLE_S:
            self._settled_s = now_s
            self._rulings.settle()

    def passed(self, key: bytes) -> Passed:
        """Count a request that brought `key`, and let it go on.

        Raises:
            BadRequest: it may not: no known key (401), the account is blocked or challenged (403), or it has used up a
                limit (429).
        """
        return self._passed(self.gate.account_of(key))

    def passed_by_name(self, name: str) -> Passed:
        """The same for a request whose account another gateway has found out.

        An account that nobody has added here has no limits of ours; what is decided about it holds.

        Raises:
            BadRequest: it may not go on; an account that is revoked here is not known any more (401).
        """
        known = self.known(name)
        if known is not None:
            return self._passed(known)
        decision = self.gate.decision_about(name)
        return Passed(name, UNKNOWN_SEGMENT, None, self.gate.checked(decision), decision)

    def _passed(self, account: Known) -> Passed:
        gate = self.gate
        decision = gate.decision_about(account.name)
        action = gate.checked(decision)
        gate.admit(account, action)
        gate.meter.leave(account.number)
        return Passed(account.name, account.segment, account, action, decision)

    def known(self, name: str) -> Known | None:
        """The account of that name; None where nobody has added one.

        Raises:
            BadRequest: it is revoked, or none of its keys works (401).
        """
        version = self.gate.book.version
        if version != self._named_version:
            self._named, self._named_version = {}, version
        if name not in self._named:
            self._named[name] = self._found(name)
        return self._named[name]

    def _found(self, name: str) -> Known | None:
        known = self.gate.book.named(name)
        if known is not None:
            return known
        try:
            self._accounts.get(name)
        except InputError:
            return None
        raise BadRequest(401, f"the account {shown(name)} is revoked here; ask support", "account_revoked")

    def spent(self, name: str, tokens: int, dollars: float) -> None:
        """Charge the account of that name for an answer; nothing happens where nobody has added it."""
        try:
            known = self.known(name)
        except BadRequest:  # revoked since it was let in
            return
        if known is not None:
            self.gate.meter.spend(known.number, self.gate.now_s(), tokens, int(dollars * 1e6))

    def close(self) -> None:
        """Close the folder; calling anything afterwards is an error."""
        self._stack.close()

    def __enter__(self) -> Decider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _own_meter(folder: GuardFolder, workers: int) -> tuple[Meter, int]:
    """Counts of this process, and the handle that keeps them its own until it is closed.

    Raises:
        StoreError: there are too many such processes.
    """
    paths = [folder.path / f"beside-{number:02d}.cells" for number in range(MOST_BESIDE)]
    beside = [Cells(path, 1).columns[0] for path in paths]
    for number, path in enumerate(paths):
        handle = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            return Meter([*beside, *Cells(folder.limits, workers).columns], number), handle
    raise StoreError(f"{MOST_BESIDE} processes count beside this gateway already, wanted fewer; end one of them")
