"""Habits: what is strange in how an account asks, one a file; each is ranked among ordinary accounts of its segment."""

from spiritsafe.guard.habits.base import Habit
from spiritsafe.guard.habits.changed import CHANGED
from spiritsafe.guard.habits.narrow import NARROW
from spiritsafe.guard.habits.one_template import ONE_TEMPLATE
from spiritsafe.guard.habits.pivot import PIVOT
from spiritsafe.guard.habits.prompt_distance import PROMPT_DISTANCE
from spiritsafe.guard.habits.round_the_clock import ROUND_THE_CLOCK
from spiritsafe.guard.habits.single_shot import SINGLE_SHOT
from spiritsafe.registry import Table

HABITS: Table[Habit] = Table(
    "habit", (PROMPT_DISTANCE, NARROW, ONE_TEMPLATE, SINGLE_SHOT, CHANGED, PIVOT, ROUND_THE_CLOCK)
)
