"""Watch: looks for campaigns and strange accounts in a stream of exchanges. Gateway and replay run this very code.

    watch = Watch(reference)
    for alarm in watch.take(exchanges): ...      # epochs in the order of time

Request and account alarms are raised where an account's rank among ordinary accounts of its segment reaches a level.
Campaigns are looked for every half hour of exchange time: links, communities, tests on other data, e-BH over all
communities that were ever tested. An account that carries a found campaign's signature is attributed at the end of
the epoch in which it does. Accounts under a contract to learn (`NAMED_ONLY`) are never proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.campaigns.evidence import evidence_of
from spiritsafe.guard.campaigns.leads import Lead, leads
from spiritsafe.guard.campaigns.links import CONTENT, FIND, TEST, Keys, carriers, surprising
from spiritsafe.guard.campaigns.proposals import Proposal, proposals
from spiritsafe.guard.campaigns.roster import LOG_ODDS, Campaign, content_of, holders, name_of
from spiritsafe.guard.campaigns.testing import Prompts, test
from spiritsafe.guard.detectors.base import Sign
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.policy import NAMED_ONLY
from spiritsafe.guard.watch.accounts import NAMES, READERS, Crowd, Epochs, Seen
from spiritsafe.guard.watch.alarms import Alarm, Reason, in_order
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.stats.evalues import ville
from spiritsafe.stats.multiple import block_share, fading_share, online_e_bh

CAMPAIGN_EPOCHS = 3
"""Campaigns are looked for whenever so many epochs are over."""

MORE = 1.5
"""A community that did not pass is tested again when it has so many times the testing prompts: every test costs."""

EXPECTED = 2
"""So many times the reference's accounts are expected to be watched; more may come."""

FEWEST_TESTED, FEWEST_TESTING_PROMPTS = 5, 200
"""Members with testing prompts, and such prompts, that a test needs: one that cannot pass yet costs as much."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What false alarms are allowed.

    Attributes:
        request, account: the chance that an honest account ever raises such an alarm within the reference's time.
        campaign: the false discovery rate among reported campaigns.
        account_fdr: the false discovery rate among reported accounts; None: each is reported by its own level.
    """

    request: float = 0.001
    account: float = 0.001
    campaign: float = 0.01
    account_fdr: float | None = None


class Watch:
    """One watch.

    Args:
        reference: what is ordinary.
        levels: of false alarms.
        accounts: who remembers; by default this process does it all.

    Attributes:
        accounts: everything that is remembered.
        campaigns: those found so far.
        tested: communities tested so far.
        seen: exchanges.
    """

    def __init__(self, reference: Reference, levels: Levels | None = None, accounts: Crowd | None = None) -> None:
        self._reference, self._levels = reference, levels or Levels()
        self.accounts: Crowd = accounts or reference.accounts()
        self.campaigns: list[Campaign] = []
        self.tested: list[float] = []
        self.seen = 0
        self.voids: dict[str, str] = {}
        self._raised: set[tuple[str, str]] = set()
        self._strange: list[int] = []
        self._held: list[tuple[int, Alarm]] = []
        self._signs: list[tuple[int, int, Sign]] = []
        self._last_pass = 0
        self._tested_at: dict[int, int] = {}
        self._belongs: dict[str, Campaign] = {}

    def take(self, exchanges: Iterable[Exchange]) -> Iterator[Alarm]:
        """The alarms of exchanges whose epochs are whole and come one after the other."""
        for alarms in self.epochs(epochs(exchanges)):
            yield from alarms

    def epochs(self, held: Epochs) -> Iterator[list[Alarm]]:
        """The alarms of each epoch."""
        for number, seen in self.accounts.epochs(held):
            yield self._alarms(number, seen)

    def epoch(self, number: int, exchanges: list[Exchange]) -> list[Alarm]:
        """The alarms of one epoch, all of whose exchanges these are."""
        return self._alarms(number, self.accounts.epoch(exchanges))

    def _alarms(self, number: int, seen: Seen) -> list[Alarm]:
        self._signs = seen.signs
        self.seen += seen.exchanges
        alarms = [*self._of_requests(seen.at), *self._discovered(self._of_accounts(seen.due), seen.at)]
        if number // CAMPAIGN_EPOCHS != self._last_pass:
            self._last_pass = number // CAMPAIGN_EPOCHS
            self.look_for_campaigns(seen.at)
        alarms += self._attribute(seen.touched, seen.at)
        return in_order(alarms)

    def _can_fire(self, slot: int, level: float) -> bool:
        segment, own = self.accounts.known[slot].segment, self.accounts.sketches.columns
        days = float(own["last_at"][slot] - own["first_at"][slot]) / DAY_S
        void = self._reference.void(segment, level, days)
        if void:
            self.voids[f"{segment} {level:g}"] = void
        return not void

    def _of_requests(self, now: float) -> Iterator[Alarm]:
        """Alarms about single exchanges."""
        for slot, number, sign in self._signs:
            one, name = self.accounts.known[slot], self.accounts.sketches.names[slot]
            if READERS[number].scope != "request" or (sign.detector, name) in self._raised:
                continue
            if not self._can_fire(slot, self._levels.request):
                continue
            ranks = self._reference.segments[one.segment]
            ps, _ = ranks.p_values(self.accounts.maxima[slot][None])
            if ps[0, number] <= self._levels.request:
                self._raised.add((sign.detector, name))
                reasons = tuple(Reason(sign.detector, sign.score, said, sign.exchanges) for said in sign.reasons)
                seen = int(self.accounts.sketches.columns["seen"][slot])
                yield Alarm("request", sign.exchanges[0], (name,), now, seen, ville(self._levels.request), reasons)

    def _of_accounts(self, due: NDArray[np.int64]) -> Iterator[tuple[int, Alarm]]:
        """Slots and alarms of accounts by themselves, of those whose scores may have changed."""
        slots = np.unique(np.concatenate([due, np.array([slot for slot, _, _ in self._signs], dtype=np.int64)]))
        own, level = self.accounts.sketches, self._levels.account
        for slot in slots:
            one, name, at = self.accounts.known[slot], own.names[slot], float(own.columns["last_at"][slot])
            if ("account", name) in self._raised or not self._can_fire(int(slot), level):
                continue
            ps, whole = self._reference.segments[one.segment].p_values(self.accounts.maxima[slot][None])
            if whole[0] <= level:
                self._raised.add(("account", name))
                seen = int(own.columns["seen"][slot])
                why = self._why(int(slot), ps[0])
                yield int(slot), Alarm("account", name, (name,), at, seen, ville(level), why)

    @property
    def held(self) -> int:
        """Alarms about accounts that wait for others, so that few of what is reported can be false."""
        return len(self._held)

    def _discovered(self, alarms: Iterable[tuple[int, Alarm]], now: float) -> list[Alarm]:
        """Those of the alarms about accounts that may be reported, with those of before that now may, too.

        By online e-BH, where a rate is asked for: an account at its level has an e-value of one over it, any other one
        nothing, and each has the share of its place in the order of first exchanges.
        """
        fresh, rate = list(alarms), self._levels.account_fdr
        if rate is None or not fresh:  # who may be reported changes with who is strange, and with nothing else
            return [alarm for _, alarm in fresh]
        self._held += fresh
        self._strange += [slot for slot, _ in fresh]
        expected = EXPECTED * max(1, sum(ranks.accounts for ranks in self._reference.segments.values()))
        shares = [block_share(slot + 1, expected) for slot in self._strange]
        found = online_e_bh([ville(self._levels.account)] * len(shares), shares, rate)
        reported = {self._strange[place] for place in found}
        now_strange = {slot for slot, _ in fresh}
        told = [
            alarm if slot in now_strange else replace(alarm, at=now) for slot, alarm in self._held if slot in reported
        ]
        self._held = [(slot, alarm) for slot, alarm in self._held if slot not in reported]
        return told

    def _why(self, slot: int, ps: NDArray[np.float64]) -> tuple[Reason, ...]:
        """The detectors that found the account strangest, in words."""
        newest, reasons = (self.accounts.known[slot].newest,), list[Reason]()
        signs = {number: sign for own, number, sign in self._signs if own == slot}
        for number in np.argsort(ps, kind="stable")[:3]:
            score = float(self.accounts.maxima[slot, number])
            if ps[number] > 10 * self._levels.account and reasons:
                break
            if number >= len(READERS):
                said = tuple(HABITS)[number - len(READERS)].reason(self.accounts.sketches, slot, self.accounts.ordinary)
            else:
                said = "; ".join(signs[number].reasons) if number in signs else "see its earlier exchanges"
            rank = f"{said}; {ps[number]:.2%} of ordinary accounts of its segment score as high"
            reasons.append(Reason(NAMES[number], score, rank, newest))
        return tuple(reasons)

    def _crowd(self) -> NDArray[np.int64]:
        return np.array(
            [slot for slot, one in enumerate(self.accounts.known) if one.segment not in NAMED_ONLY], dtype=np.int64
        )

    def look_for_campaigns(self, now: float) -> None:
        """Propose communities and test them; those that pass become campaigns. `epoch` does it in its time."""
        crowd = self._crowd()
        links = surprising(carriers(self.accounts.sketches, crowd), self._reference.popularity)
        for proposal in proposals(links, CONTENT):
            self._judge(proposal, name_of(links, proposal.core), crowd[proposal.places], now)

    def leads(self) -> list[Lead]:
        """Accounts that belong to no campaign found, and that facts alone hold together."""
        names = self.accounts.sketches.names
        free = np.array([slot for slot in self._crowd() if names[slot] not in self._belongs], dtype=np.int64)
        links = surprising(carriers(self.accounts.sketches, free), self._reference.popularity)
        return leads(links, [names[slot] for slot in free])

    def _judge(self, proposal: Proposal, name: str, slots: NDArray[np.int64], now: float) -> None:
        """Test a community; make it a campaign, or part of one it mostly is already."""
        own, odds = self.accounts.sketches, proposal.odds
        known = [self._belongs.get(own.names[slot]) for slot in slots]
        content = content_of(odds)
        for campaign in self.campaigns:
            shared = sum(key in campaign.odds for key in content.tolist())
            if campaign.id == name or 2 * known.count(campaign) >= len(slots) or 2 * shared > len(content):
                campaign.odds |= odds
                return
        members = slots[own.columns["counts"][slots, TEST] > 0]
        prompts = int(np.add.reduce(own.columns["counts"][members, TEST]))
        if len(members) < FEWEST_TESTED or not self._is_due(content, prompts):
            return
        verdict = test(Prompts.of(own, members), self._reference.prompts, content, own.clocks(slots))
        self.tested.append(verdict.e_value)
        shares = [fading_share(place) for place in range(1, len(self.tested) + 1)]
        if len(self.tested) - 1 in online_e_bh(self.tested, shares, self._levels.campaign):
            self.campaigns.append(Campaign(name, odds, verdict, now))

    def _is_due(self, content: Keys, prompts: int) -> bool:
        """Whether most of what a community has in common is new, or was tested on few prompts; notes the test."""
        before = [self._tested_at.get(key, 0) for key in content.tolist()]
        if not before or prompts < max(FEWEST_TESTING_PROMPTS, MORE * float(np.median(before))):
            return False
        self._tested_at |= dict.fromkeys(content.tolist(), prompts)
        return True

    def _attribute(self, touched: NDArray[np.int64], now: float) -> Iterator[Alarm]:
        """Alarms about campaigns that are new, or that have new accounts."""
        for campaign in self.campaigns:
            is_new = not campaign.accounts
            looked_at = self._crowd() if is_new else touched
            fresh = self._members(campaign, looked_at)
            if not fresh:
                continue
            campaign.accounts |= fresh
            slots = np.array([self.accounts.sketches.slot_of[name] for name in fresh])
            seen = int(np.add.reduce(self.accounts.sketches.columns["seen"][slots]))
            ids = tuple(self.accounts.known[slot].newest for slot in slots[:5])
            reasons = evidence_of(campaign, len(fresh), ids)
            yield Alarm("campaign", campaign.id, tuple(fresh), now, seen, campaign.verdict.e_value, reasons)

    def _members(self, campaign: Campaign, slots: NDArray[np.int64]) -> dict[str, float]:
        """The accounts at `slots` that carry enough of a campaign's signature and belong to none yet."""
        names = self.accounts.sketches.names
        free = np.array(
            [s for s in slots if names[s] not in self._belongs and self.accounts.known[s].segment not in NAMED_ONLY],
            dtype=np.int64,
        )
        if not len(free):
            return {}
        found = carriers(self.accounts.sketches, free, (FIND, TEST))
        held = holders(found.places, found.keys, campaign.odds)
        belong = held.asks & (held.odds >= LOG_ODDS)
        own = [names[slot] for slot in free[held.places[belong]]]
        self._belongs |= dict.fromkeys(own, campaign)
        return dict(zip(own, held.odds[belong].tolist(), strict=True))
