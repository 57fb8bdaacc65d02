"""A campaign's accounts: made to look like anybody's, except for what making them cheaply leaves in common."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import elsewhere, own_domain
from spiritsafe.drills.persona import Persona
from spiritsafe.drills.world import World

_FOCUS = ("SG", "JP")
_SEEN_AS_COMPANY = 0.3


class Pool:
    """The accounts of one campaign.

    Attributes:
        accounts: the active ones first, then the reserve.
        active: how many of them ask from the start.
        refused: numbers of accounts that were told no.
    """

    def __init__(self, plan: Plan, world: World, dice: Dice) -> None:
        self.active = plan.accounts
        self.accounts = [_recruit(plan, world, dice, number) for number in range(plan.accounts + plan.reserve)]
        self.refused: set[int] = set()


def _recruit(plan: Plan, world: World, dice: Dice, number: int) -> Persona:
    own = dice.fork("account", number)
    persona = Persona(
        own,
        world.places,
        world.models,
        segment=plan.segment,
        is_company=own.chance(_SEEN_AS_COMPANY),
        shared=_links(plan, world, dice, number),
    )
    if plan.accounts_per_address:
        persona.clients = persona.clients[:1]
    # a student learns from the best
    persona.model = world.models[0]
    return persona


def _links(plan: Plan, world: World, dice: Dice, number: int) -> dict[str, str]:
    """The client facts that an account has from the campaign's stock, and not of its own."""
    places, links = world.places, {}
    own = dice.fork("focus", number)
    if own.chance(plan.focus):
        links["country"] = own.pick(_FOCUS)
    if plan.accounts_per_card:
        links["payment"] = places.payment(dice.fork("card", number // plan.accounts_per_card))
    if plan.accounts_per_domain:
        links["email_domain"] = own_domain(dice.fork("domain", number // plan.accounts_per_domain))
    if plan.programs:
        program = places.program(dice.fork("program", number % plan.programs))
        links["user_agent"], links["ja4"] = program
    if plan.accounts_per_address:
        exit_ = dice.fork("address", number // plan.accounts_per_address)
        client = {"country": exit_.pick(_FOCUS) if exit_.chance(plan.focus) else places.country(exit_)}
        links |= elsewhere(places, exit_, client, exit_.pick(("home", "mobile", "hosting")))
    return links
