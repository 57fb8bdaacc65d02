"""Who asks, as a gateway sees it: account, address, network, client program, organisation, card, mail domain, country.

The world has a thousand networks, and people share what they share in life: carriers put hundreds behind one address,
a few mail services have most of the private accounts, a few client programs do most of the asking, and some card
issuers are everywhere. Nothing here knows whether somebody is honest; campaigns draw from the very same places.

No address is anybody's: networks lie in 10.0.0.0/8, their numbers in the range for private use, domains in .example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import STEMS, TRADES

Kind = Literal["home", "mobile", "office", "hosting"]

COUNTRIES: Mapping[str, tuple[float, float]] = {
    "US": (0.24, -6.0),
    "IN": (0.11, 5.5),
    "DE": (0.08, 1.0),
    "GB": (0.07, 0.0),
    "JP": (0.07, 9.0),
    "FR": (0.06, 1.0),
    "BR": (0.06, -3.0),
    "SG": (0.04, 8.0),
    "KR": (0.04, 9.0),
    "CA": (0.04, -5.0),
    "AU": (0.03, 10.0),
    "NL": (0.03, 1.0),
    "ES": (0.03, 1.0),
    "PL": (0.03, 1.0),
    "ID": (0.03, 7.0),
    "MX": (0.02, -6.0),
    "TR": (0.02, 3.0),
}
"""By country: its share of accounts, and its hours ahead of UTC."""

NETWORKS = 1023
_ADDRESSES: Mapping[Kind, int] = {"home": 12_000, "mobile": 48, "office": 4_000, "hosting": 1_500}
_KINDS: tuple[Kind, ...] = ("home", "mobile", "office", "hosting")

_PROGRAMS = (
    ("openai-python/2.{}.0", 8),
    ("OpenAI/JS 6.{}.1", 6),
    ("anthropic-sdk-python/0.{}.0", 6),
    ("python-requests/2.{}.0", 4),
    ("langchain/1.{}.2", 5),
    ("aiohttp/3.{}.4", 4),
    ("axios/1.{}.0", 4),
    ("okhttp/5.{}.0", 3),
    ("Go-http-client/2.{}", 1),
    ("curl/8.{}.1", 4),
    ("coding-agent/1.{}.12", 5),
    ("vercel-ai/5.{}.3", 4),
)

_MAIL_SERVICES = ("postbox", "quickmail", "mailhaus", "inboxly", "letterbird", "openpost", "webmail-one", "correo")
_MAIL_SKEW = 2.2
_NETWORK_SKEW = 2.5
_CARD_ISSUERS = 160
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Network:
    """One network: its number in the world, its AS number, its country and what it is for."""

    number: int
    asn: str
    country: str
    kind: Kind

    def address(self, dice: Dice) -> str:
        """An address in it; a carrier has few, and many share one."""
        at = dice.below(_ADDRESSES[self.kind]) + 10
        return f"10.{self.number >> 2}.{(self.number & 3) << 6 | at >> 8}.{at & 255}"


class Places:
    """All networks, client programs and card issuers of one world.

    Args:
        dice: names the world.
    """

    def __init__(self, dice: Dice) -> None:
        places = dice.fork("places")
        # a hundred tickets, so that one draw finds a country
        self._tickets = tuple(name for name, (share, _) in COUNTRIES.items() for _ in range(round(100 * share)))
        networks = [
            Network(number, f"AS{64512 + number}", places.pick(self._tickets), places.pick(_KINDS))
            for number in range(NETWORKS)
        ]
        self._networks: dict[tuple[str, Kind], list[Network]] = {}
        for network in networks:
            self._networks.setdefault((network.country, network.kind), []).append(network)
        self._all = networks
        self._programs = [
            (name.format(version + 1), f"t13d{places.between(1512, 1912):.0f}h2_{_half(places)}_{_half(places)}")
            for version in range(8)
            for name, versions in _PROGRAMS
            if version < versions
        ]
        self._issuers = [f"{places.between(400_000, 560_000):.0f}" for _ in range(_CARD_ISSUERS)]

    def country(self, dice: Dice) -> str:
        """A country, as often as accounts come from there."""
        return dice.pick(self._tickets)

    def network(self, dice: Dice, country: str, kind: Kind) -> Network:
        """A network of that kind in that country, large ones more often; anywhere if there is none."""
        return dice.early(self._networks.get((country, kind)) or self._all, _NETWORK_SKEW)

    def program(self, dice: Dice) -> tuple[str, str]:
        """(user agent, JA4 fingerprint) of a client program, popular ones more often."""
        return dice.early(self._programs, 1.8)

    def payment(self, dice: Dice) -> str:
        """A card: its issuer's number, popular ones more often, and a token of its own."""
        return f"{dice.early(self._issuers, 2.4)}-{dice.hex(1)}"


def _half(dice: Dice) -> str:
    """Twelve hex digits, as each half of a JA4 fingerprint has."""
    return dice.hex(2)[:12]


def mail_service(dice: Dice) -> str:
    """The domain of a mail service that anybody can have an address at, popular ones more often."""
    return f"{dice.early(_MAIL_SERVICES, _MAIL_SKEW)}.example"


def own_domain(dice: Dice) -> str:
    """The domain of a company: a name, or letters that mean nothing to others."""
    if dice.chance(0.3):
        return "".join([dice.pick(_LETTERS) for _ in range(5 + dice.below(4))]) + ".example"
    return f"{dice.pick(STEMS)}{dice.pick(TRADES)}".lower() + f"{dice.below(90) or ''}.example"


def organisation(dice: Dice) -> str:
    """An organisation's id."""
    return f"org-{dice.hex(2)}"


def account_name(dice: Dice) -> str:
    """An account's name, the same in shape for everybody."""
    return f"acct-{dice.hex(2)}"


def facts(places: Places, dice: Dice, *, is_company: bool) -> dict[str, str]:
    """What a gateway sees of a newcomer: a private person, or a company."""
    country = places.country(dice)
    kind: Kind = (
        dice.weighted(("office", "hosting"), (0.35, 0.65))
        if is_company
        else dice.weighted(("home", "mobile", "office", "hosting"), (0.62, 0.18, 0.12, 0.08))
    )
    network = places.network(dice, country, kind)
    user_agent, ja4 = places.program(dice)
    domain = own_domain(dice) if dice.chance(0.93 if is_company else 0.1) else mail_service(dice)
    return {
        "ip": network.address(dice),
        "asn": network.asn,
        "user_agent": user_agent,
        "ja4": ja4,
        "org": organisation(dice),
        "payment": places.payment(dice),
        "email_domain": domain,
        "country": country,
    }


def elsewhere(places: Places, dice: Dice, client: Mapping[str, str], kind: Kind) -> dict[str, str]:
    """The same client in another network of its country: on the road, at work, behind a proxy."""
    network = places.network(dice, client["country"], kind)
    return {**client, "ip": network.address(dice), "asn": network.asn}
