"""Word problems with their answers, as school books have them: what an evaluation harness asks without a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import NAMES

_GOODS = ("pencils", "apples", "tickets", "bricks", "stamps", "muffins", "postcards", "batteries", "mugs", "seeds")
_PLACES = ("a market", "a school fair", "a bakery", "a bus station", "a farm shop", "a museum", "a camp site")
_WORK = ("paints fences", "mows lawns", "walks dogs", "folds boxes", "tutors pupils", "repairs bikes")


class Problem(NamedTuple):
    """A question and its answer, a whole number."""

    question: str
    answer: str


def _selling(dice: Dice) -> Problem:
    who, what = dice.pick(NAMES), dice.pick(_GOODS)
    day, gone, price = 6 + dice.below(40), 1 + dice.below(5), 2 + dice.below(9)
    text = (
        f"{who} brings {day} {what} to {dice.pick(_PLACES)} every morning and gives {gone} of them away. The rest are "
        f"sold at ${price} each. How many dollars does {who} take in a day?"
    )
    return Problem(text, str((day - gone) * price))


def _sharing(dice: Dice) -> Problem:
    who, friend, what = *dice.some(NAMES, 2), dice.pick(_GOODS)
    each, people, left = 3 + dice.below(20), 2 + dice.below(7), dice.below(6)
    text = (
        f"{who} shares a box of {what} among {people} people, {friend} included. Everybody gets {each} and {left} are "
        f"left over. How many {what} were in the box?"
    )
    return Problem(text, str(each * people + left))


def _working(dice: Dice) -> Problem:
    who, wage, hours, days = dice.pick(NAMES), 8 + dice.below(30), 2 + dice.below(6), 2 + dice.below(5)
    spent = 5 + dice.below(30)
    text = (
        f"{who} {dice.pick(_WORK)} for ${wage} an hour, {hours} hours a day on {days} days a week, and spends ${spent} "
        f"on lunch in that week. How much money is left at the end of the week?"
    )
    return Problem(text, str(wage * hours * days - spent))


def _travelling(dice: Dice) -> Problem:
    who, speed, hours, stop = dice.pick(NAMES), 20 + 5 * dice.below(14), 2 + dice.below(5), 10 * (1 + dice.below(5))
    text = (
        f"{who} drives at {speed} km an hour for {hours} hours, stops, and then covers another {stop} km by bus. "
        f"How many kilometres is the whole trip?"
    )
    return Problem(text, str(speed * hours + stop))


def _ages(dice: Dice) -> Problem:
    who, other = dice.some(NAMES, 2)
    age, times, years = 4 + dice.below(12), 2 + dice.below(4), 1 + dice.below(9)
    text = (
        f"{who} is {age} years old. {other} is {times} times as old. How old will both of them be together in {years} "
        f"years?"
    )
    return Problem(text, str(age + age * times + 2 * years))


KINDS: tuple[Callable[[Dice], Problem], ...] = (_selling, _sharing, _working, _travelling, _ages)


def problem(dice: Dice) -> Problem:
    """One problem; two alike are rare among thousands."""
    return dice.pick(KINDS)(dice)
