"""Ordinary customers: people who chat, people who try things out, companies with a product or a support desk.

Private rates: conversations a day log-normal around 0.9, as the long tail of public chat logs has it (4.8 conversations
an address in LMSYS-Chat-1M). Companies: `clients`.
"""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask, side_by_side
from spiritsafe.drills.clock import rhythm
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.end_users import question
from spiritsafe.drills.people.clients import Client, Clients
from spiritsafe.drills.texts.jobs import instructions, job
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.texts.talk import opening
from spiritsafe.drills.world import Life, arrivals, interests
from spiritsafe.exchanges.record import Message

TURNS = 2.4
"""Exchanges that a conversation has in the mean over people."""

_WAYS = (0.6, 0.12, 0.16, 0.12)
_SENTENCE_TOKENS = 16.0
_LONGEST_TOKENS = 1500.0
_LEAST_A_DAY = 0.2
_MOST_A_DAY = 600.0
_OF_LARGE = 0.1
"""What an ordinary company asks, of what the clients asked that `clients` was fitted to: those were the largest."""


def chat(life: Life, sessions_per_day: float | None = None) -> Acts:
    """A private person who talks to the model now and then, about what they care about."""
    dice = life.dice
    rate = sessions_per_day or life.rate * dice.lognormal(0.9, 1.0, 15.0)
    hours = rhythm(dice.pick(("evening", "office", "service")), life.who.offset_h)
    cares = interests(dice, 8)
    shape, turns = dice.between(0.4, 1.2), dice.between(0.4, 2.0 * TURNS - 2.4)
    at = life.joins_at
    while (at := hours.after(at, dice.gamma(shape) / rate)) < life.world.end:
        topic = dice.early(cares, 1.6)
        talked = yield from conversation(
            life.who,
            dice,
            at,
            life.who.voice.says(question(dice, topic, life.world.sets)),
            topic,
            turns=1 + dice.geometric(turns),
            chars=700.0,
            place=dice.below(3),
        )
        at = talked.at


def tinker(life: Life) -> Acts:
    """Somebody with a script: now and then it runs over a handful of rows, is changed, and runs again."""
    dice = life.dice
    runs_per_day = life.rate * dice.lognormal(0.5, 0.8, 6.0)
    hours = rhythm("evening", life.who.offset_h)
    at = life.joins_at
    while (at := hours.after(at, dice.exponential() / runs_per_day)) < life.world.end:
        task = job(dice.fork("job", int(at)), dice.pick(interests(dice, 6)), 2.0)
        for _ in range(3 + dice.geometric(12.0)):
            yield at
            prompt = Message("user", task.prompt(task.record(dice)))
            wanted = Wanted("", task.topic, int(dice.lognormal(300.0, 0.6, 4000.0)))
            yield from ask(life.who.asks((prompt,), wanted))
            at += dice.lognormal(3.0, 0.8, 60.0)


def product(life: Life) -> Acts:
    """A company whose product asks the model for its users, who come and go; half of them by a template."""
    dice, client = life.dice, Clients.read().draw(life.dice)
    about = interests(dice, 3)
    task = job(dice, about[0], client.input_tokens / _SENTENCE_TOKENS)
    system = (Message("system", task.system or instructions(dice)),)
    is_template = dice.chance(0.5)
    for at in arrivals(life, dice, client.week, _per_day(life, client), 1.0 / client.gap_cv**2):
        yield at
        topic = dice.pick(about)
        sentences = int(dice.lognormal(client.input_tokens, client.input_spread, _LONGEST_TOKENS) / _SENTENCE_TOKENS)
        asked = opening(dice, topic)
        if sentences > 1:
            asked = f"{asked}\n{passage(dice, topic, sentences)}"
        text = task.prompt(asked) if is_template else asked
        wanted = Wanted("", topic, 4 * client.answer_tokens(dice))
        yield from ask(life.who.asks((*system, Message("user", text)), wanted))


def _per_day(life: Life, client: Client) -> float:
    return min(_MOST_A_DAY, max(_LEAST_A_DAY, _OF_LARGE * client.requests_per_day * life.volume))


def support(life: Life) -> Acts:
    """A support desk: its customers write with a few kinds of trouble, and write back."""
    dice, client = life.dice, Clients.read().draw(life.dice)
    system = (Message("system", instructions(dice)),)
    about = interests(dice, 2)
    intents = dice.some(life.world.sets.utterances, 12)
    per_day = _per_day(life, client) / 2.2

    def talk(at: float) -> Acts:
        topic = dice.pick(about)
        first = dice.pick(dice.pick(intents)) if intents else opening(dice, topic)
        turns = 1 + dice.geometric(1.2)
        return conversation(life.who, dice, at, first, topic, turns=turns, chars=320.0, system=system, think_s=60.0)

    return side_by_side(arrivals(life, dice, "service", per_day), talk)


_LIVES = (chat, tinker, product, support)


def _act(life: Life) -> Acts:
    return life.dice.weighted(_LIVES, _WAYS)(life)


ORDINARY = Customers(
    name="ordinary",
    says="people who chat, people who try things out, companies with a product or a support desk",
    act=_act,
    is_company=False,
    newcomers=0.3,
)
