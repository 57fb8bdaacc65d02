"""Keeps a gate up to date: brings what has changed of accounts, policy and decisions into its memory."""

from __future__ import annotations

from spiritsafe.guard.gateway.gate import Gate
from spiritsafe.guard.policy import policy_from_json
from spiritsafe.guard.rulings import Rulings


class Following:
    """Follows `rulings`, and the accounts of the gate's book, into `gate`; up to date from the start.

    Raises:
        StoreError: the file cannot be read, here and in `look`.
    """

    def __init__(self, gate: Gate, rulings: Rulings) -> None:
        self._gate = gate
        self._rulings = rulings
        self._seen = rulings.changes()
        self._number = -1
        self._look_at_policy()
        gate.standings = rulings.standing(gate.now_s())

    def look(self) -> None:
        """Look for changes; cheap where there are none."""
        gate, rulings = self._gate, self._rulings
        gate.book.refresh()
        changes = rulings.changes()
        if changes == self._seen:
            return
        for account, decision in rulings.standing_since(self._seen).items():
            if decision is None:
                gate.standings.pop(account, None)
            else:
                gate.standings[account] = decision
        self._look_at_policy()
        self._seen = changes

    def _look_at_policy(self) -> None:
        number = self._rulings.policy_number()
        if number != self._number:
            self._gate.policy = policy_from_json(self._rulings.current_policy())
            self._number = number
