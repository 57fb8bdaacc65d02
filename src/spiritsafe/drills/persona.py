"""A persona: somebody with an account, as long as the play lasts."""

from __future__ import annotations

from collections.abc import Mapping

from spiritsafe.drills.acting import Ask, Wanted
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import COUNTRIES, Kind, Places, account_name, elsewhere, facts
from spiritsafe.drills.texts.talk import Voice
from spiritsafe.exchanges.record import Message, Sampling

DIALECTS = ("chat", "anthropic", "responses")
"""The API formats that accounts speak."""

_DIALECTS = (0.6, 0.3, 0.1)
_MODELS = (0.62, 0.38)
"""Shares of accounts that ask the large model, and the small one."""


class Persona:
    """Somebody with an account.

    Attributes:
        account, segment, dialect: the account's name, contract and API format.
        clients: where it asks from; the first is the usual one.
        offset_h: hours ahead of UTC where it lives.
        model: the model it asks now.
        sampling: how it wants its answers.
        voice: how it writes.
    """

    __slots__ = ("account", "clients", "dialect", "model", "offset_h", "sampling", "segment", "voice")

    def __init__(
        self,
        dice: Dice,
        places: Places,
        models: tuple[str, str],
        *,
        segment: str,
        is_company: bool,
        shared: Mapping[str, str],
    ) -> None:
        own = dice.fork("identity")
        client = {**facts(places, own, is_company=is_company), **shared}
        self.account = account_name(own)
        self.segment = segment
        self.dialect = own.weighted(DIALECTS, _DIALECTS)
        self.clients: tuple[dict[str, str], ...] = (client, *_roads(places, own, client, is_company=is_company))
        self.offset_h = COUNTRIES[client["country"]][1]
        self.model = own.weighted(models, _MODELS)
        self.sampling = _habit(own)
        self.voice = Voice.of(own)

    def asks(
        self,
        messages: tuple[Message, ...],
        wanted: Wanted,
        *,
        sampling: Sampling | None = None,
        place: int = 0,
        campaign: str = "",
    ) -> Ask:
        """A request of its own, sent from the `place`-th of its places (counted around)."""
        return Ask(
            self.account,
            self.segment,
            self.dialect,
            self.clients[place % len(self.clients)],
            self.model,
            messages,
            sampling or self.sampling,
            wanted,
            campaign,
        )


def _roads(places: Places, dice: Dice, client: Mapping[str, str], *, is_company: bool) -> list[dict[str, str]]:
    """Up to two more places that somebody asks from."""
    kinds: tuple[Kind, ...] = ("hosting", "office") if is_company else ("mobile", "home")
    return [elsewhere(places, dice, client, kind) for kind in kinds[: dice.below(3)]]


_TEMPERATURES = (None, None, 0.0, 0.2, 0.3, 0.7, 0.7, 1.0)
_MOST_TOKENS = (None, 256, 512, 1024, 1024, 2048, 4096)


def _habit(dice: Dice) -> Sampling:
    return Sampling(temperature=dice.pick(_TEMPERATURES), max_tokens=dice.pick(_MOST_TOKENS))
