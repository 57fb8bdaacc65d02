"""Classes of customers: the ordinary ones, and the honest ones that look like campaigns."""

from __future__ import annotations

from spiritsafe.drills.customers import Customers
from spiritsafe.drills.people.coding_agent import CODING_AGENT
from spiritsafe.drills.people.coursework import COURSEWORK
from spiritsafe.drills.people.evaluation import EVALUATION
from spiritsafe.drills.people.hackathon import HACKATHON
from spiritsafe.drills.people.judge import JUDGE
from spiritsafe.drills.people.labelling import LABELLING
from spiritsafe.drills.people.licensed import LICENSED
from spiritsafe.drills.people.migration import MIGRATION
from spiritsafe.drills.people.nightly_batch import NIGHTLY_BATCH
from spiritsafe.drills.people.ordinary import ORDINARY
from spiritsafe.drills.people.reseller import RESELLER
from spiritsafe.drills.people.retrieval import RETRIEVAL
from spiritsafe.registry import Table

PEOPLE: Table[Customers] = Table(
    "customer",
    (
        ORDINARY,
        NIGHTLY_BATCH,
        LABELLING,
        EVALUATION,
        RETRIEVAL,
        JUDGE,
        CODING_AGENT,
        COURSEWORK,
        RESELLER,
        LICENSED,
        MIGRATION,
        HACKATHON,
    ),
)
