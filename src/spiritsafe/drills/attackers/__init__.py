"""Campaigns: what is asked, how it is spread over accounts, what hides it; and presets of all three."""

from __future__ import annotations

from spiritsafe.drills.attackers.aggregator import AGGREGATOR
from spiritsafe.drills.attackers.camouflage import CAMOUFLAGE
from spiritsafe.drills.attackers.coerced import COERCED
from spiritsafe.drills.attackers.cover import BARE, Cover
from spiritsafe.drills.attackers.failover import FAILOVER
from spiritsafe.drills.attackers.from_file import FROM_FILE
from spiritsafe.drills.attackers.graded import GRADED
from spiritsafe.drills.attackers.hot_standby import HOT_STANDBY
from spiritsafe.drills.attackers.low_and_slow import LOW_AND_SLOW
from spiritsafe.drills.attackers.one_template import ONE_TEMPLATE
from spiritsafe.drills.attackers.paraphrased import PARAPHRASED
from spiritsafe.drills.attackers.presets import ROWS, Preset
from spiritsafe.drills.attackers.pure import PURE
from spiritsafe.drills.attackers.question import Asks
from spiritsafe.drills.attackers.relay import RELAY
from spiritsafe.drills.attackers.round_robin import ROUND_ROBIN
from spiritsafe.drills.attackers.sharded import SHARDED
from spiritsafe.drills.attackers.spread import Spreading
from spiritsafe.registry import Table

ASKS: Table[Asks] = Table("asking", (PURE, ONE_TEMPLATE, PARAPHRASED, RELAY, COERCED, GRADED, FROM_FILE))
SPREADS: Table[Spreading] = Table("spread", (SHARDED, ROUND_ROBIN, HOT_STANDBY, FAILOVER, LOW_AND_SLOW))
COVERS: Table[Cover] = Table("cover", (BARE, CAMOUFLAGE, AGGREGATOR))
PRESETS: Table[Preset] = Table("preset", ROWS)
