"""Proposals are whole campaigns, each once; leads are what facts alone hold together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.guard.campaigns.test_links import campaign, found, people

from spiritsafe.guard.campaigns.leads import leads
from spiritsafe.guard.campaigns.links import CONTENT, FACTUAL, Links
from spiritsafe.guard.campaigns.proposals import proposals


def names(links: Links) -> list[str]:
    return [f"a{place}" for place in range(int(links.places.max(initial=-1)) + 1)]


def test_a_campaign_with_two_cards_is_proposed_once_and_whole() -> None:
    halved = [replace(one, client={"payment": f"card {int(one.account[1:]) % 2}"}) for one in campaign(40)]
    links = found(people(100), people(60, 200) + halved)
    [proposal] = proposals(links, CONTENT)

    assert set(proposal.core.tolist()) <= set(proposal.places.tolist())
    assert len(set(proposal.places.tolist()) & set(range(60, 100))) >= 36
    assert not set(proposal.places.tolist()) & set(range(60))


def test_unrelated_accounts_are_no_proposal_and_no_lead() -> None:
    links = found(people(150), people(150, 200))
    assert proposals(links, CONTENT) == []
    assert leads(links, names(links)) == []


def test_accounts_that_share_a_card_and_no_prompts_are_a_lead_and_no_proposal() -> None:
    links = found(people(100), people(60, 200) + people(20, 500, payment="card", ip="10.0.0.1"))
    assert proposals(links, CONTENT) == []

    [lead] = leads(links, names(links))
    assert lead.accounts == tuple(sorted(f"a{place}" for place in range(60, 80)))
    assert {one.kind for one in lead.shares} == {"payment", "ip"}
    assert all(one.times_expected > 2.5 and one.surprise >= 12 for one in lead.shares)
    assert lead.row["accounts"] == list(lead.accounts)


def test_the_more_surprising_lead_comes_first_whatever_the_order() -> None:
    links = found(people(100), people(60, 200) + people(40, 500, payment="card") + people(60, 700, org="acme"))
    large, small = leads(links, names(links))
    assert (len(large.accounts), len(small.accounts)) == (60, 40)
    assert large.shares[0].surprise > small.shares[0].surprise

    again = np.random.default_rng(3).permutation(len(links.places))
    mixed = Links(links.keys, links.carried, links.ratios, links.places[again], links.values[again])
    assert [one.row for one in leads(mixed, names(links))] == [large.row, small.row]


def test_facts_of_a_kind_that_prompts_show_are_none() -> None:
    assert not set(FACTUAL) & set(CONTENT)
