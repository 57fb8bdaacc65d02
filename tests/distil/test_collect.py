from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.distil.recipes import recipe_asking, teacher_at

from spiritsafe.distil.collect import collect
from spiritsafe.distil.collected import collected_rows, write_collected
from spiritsafe.distil.progress import Progress
from spiritsafe.distil.prompt import Prompt, make_prompt, row_from_json
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.tally import Tally
from spiritsafe.errors import BudgetError, InputError, PermissionMissing, StoreError, UpstreamError
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Message, Request, Source, Usage
from spiritsafe.models.replies import Asked, served_in_thread
from spiritsafe.models.retries import Backoff, Circuit
from spiritsafe.models.scripted import Said, ScriptedModel
from spiritsafe.wire.base import Answer

Run = Callable[[Any], Any]
DEAR = {"input_per_million": 1000.0, "output_per_million": 1000.0}  # a tenth of a cent a token
MINE = Source(endpoint="mine", model="m", terms="permits")


def _recipe(*, name: str = "demo", budget: dict[str, Any] | None = None, **teacher: Any) -> Recipe:
    asked = teacher_at(**({"sampling": {"max_tokens": 8}} | teacher))
    return recipe_asking(asked, name=name, budget=budget or {})


def _prompts(count: int) -> list[Prompt]:
    return [make_prompt((Message("user", f"number {i}"),), expected=str(i)) for i in range(count)]


def _says(answer: Callable[[str], Said | Awaitable[Said]] = str.upper, price: float | None = 0.0) -> ScriptedModel:
    return ScriptedModel(lambda request: answer(request.messages[-1].content), source=MINE, dollars_per_token=price)


def _asked(model: ScriptedModel) -> Counter[str]:
    return Counter(request.messages[-1].content for request in model.asked)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger") as opened:
        yield opened


def test_every_prompt_is_answered_once_and_a_second_run_asks_nothing(ledger: Ledger) -> None:
    model, recipe = _says(), _recipe()
    first = asyncio.run(collect(_prompts(50), model, recipe, ledger))
    assert (first.asked, first.from_ledger, first.prompts, first.done) == (50, 0, 50, True)
    second = asyncio.run(collect(_prompts(60), model, recipe, ledger))
    assert (second.asked, second.from_ledger) == (10, 50)
    assert set(_asked(model).values()) == {1}


def test_a_changed_recipe_pays_only_for_what_is_new(ledger: Ledger) -> None:
    model = _says()
    asyncio.run(collect(_prompts(5), model, _recipe(samples=2), ledger))
    more = asyncio.run(collect(_prompts(5), model, _recipe(name="another", samples=3), ledger))
    assert (more.asked, more.from_ledger) == (5, 10)
    changed = asyncio.run(collect(_prompts(5), model, _recipe(system="Be brief."), ledger))
    assert (changed.asked, changed.from_ledger) == (5, 0)


def test_equal_prompts_in_flight_together_are_asked_once(ledger: Ledger) -> None:
    model = _says()
    summary = asyncio.run(collect(_prompts(3) * 4, model, _recipe(), ledger))
    assert set(_asked(model).values()) == {1}
    assert summary.asked == 3


def test_lines_come_in_the_order_of_the_prompts_whatever_the_order_of_the_answers(
    ledger: Ledger, tmp_path: Path, in_virtual_time: Run
) -> None:
    async def slowly(text: str) -> Said:
        await asyncio.sleep(20 - int(text.split()[1]))
        return text.upper()

    recipe, prompts = _recipe(samples=2), _prompts(20)
    in_virtual_time(collect(prompts, _says(slowly), recipe, ledger))
    path = tmp_path / "collected.jsonl"
    assert write_collected(path, prompts, recipe.teacher, ledger) == 40
    rows = [row_from_json(orjson.loads(line)) for line in path.read_bytes().splitlines()]
    assert [row.prompt for row in rows] == [prompt for prompt in prompts for _ in range(2)]
    assert [row.exchange.sample for row in rows] == [0, 1] * 20
    assert all(row.exchange.answer == row.prompt.text.upper() for row in rows)
    again = tmp_path / "again.jsonl"
    write_collected(again, prompts, recipe.teacher, ledger)
    assert again.read_bytes() == path.read_bytes()


def test_a_truncated_answer_is_asked_again_once_with_the_larger_limit_and_the_later_one_is_exported(
    ledger: Ledger,
) -> None:
    model = ScriptedModel(lambda request: "w " * 12, source=MINE)
    recipe, prompts = _recipe(), _prompts(3)
    summary = asyncio.run(collect(prompts, model, recipe, ledger))
    assert (summary.asked, summary.truncated, summary.escalated) == (6, 3, 3)
    assert sorted(request.sampling.max_tokens or 0 for request in model.asked) == [8] * 3 + [16] * 3
    rows = list(collected_rows(prompts, recipe.teacher, ledger))
    assert [(row.exchange.finish_reason, row.exchange.sampling.max_tokens) for row in rows] == [("stop", 16)] * 3
    assert asyncio.run(collect(prompts, model, recipe, ledger)).asked == 0


def test_an_answer_truncated_twice_is_kept_and_marked(ledger: Ledger) -> None:
    model = ScriptedModel(lambda request: "w " * 100, source=MINE)
    recipe, prompts = _recipe(), _prompts(2)
    summary = asyncio.run(collect(prompts, model, recipe, ledger))
    assert (summary.asked, summary.truncated, summary.escalated) == (4, 4, 2)
    assert {row.exchange.finish_reason for row in collected_rows(prompts, recipe.teacher, ledger)} == {"length"}
    assert asyncio.run(collect(prompts, model, recipe, ledger)).asked == 0


def test_refusals_and_empty_answers_are_kept_and_counted(ledger: Ledger) -> None:
    said = {"number 0": Answer("I cannot.", finish_reason="refusal"), "number 1": "  ", "number 2": "yes"}
    summary = asyncio.run(collect(_prompts(3), _says(said.__getitem__), _recipe(), ledger))
    assert (summary.refused, summary.empty, summary.asked) == (1, 1, 3)
    assert {one.finish_reason for one in ledger.exchanges()} == {"refusal", "stop"}


def _flaky(error: UpstreamError, times: int) -> Callable[[str], Said]:
    left: Counter[str] = Counter()

    def answer(text: str) -> Said:
        left[text] += 1
        return error if left[text] <= times else text

    return answer


def _error(kind: str, *, retryable: bool = True, billed: bool = False, after_s: float | None = None) -> UpstreamError:
    return UpstreamError(f"no: {kind}", kind=kind, retryable=retryable, maybe_billed=billed, retry_after_s=after_s)


def test_what_may_succeed_later_is_tried_again_after_a_pause(ledger: Ledger, in_virtual_time: Run) -> None:
    model = _says(_flaky(_error("rate_limited", after_s=30.0), times=2))
    summary = in_virtual_time(collect(_prompts(4), model, _recipe(), ledger))
    assert (summary.asked, summary.retries, summary.failed, summary.skipped) == (4, 8, {"rate_limited": 8}, 0)
    assert summary.wall_s >= 60.0


def test_a_request_that_keeps_failing_is_skipped_named_and_asked_again_next_time(
    ledger: Ledger, in_virtual_time: Run
) -> None:
    def answer(text: str) -> Said:
        return _error("server") if text == "number 1" else text

    prompts = _prompts(3)
    summary = in_virtual_time(collect(prompts, _says(answer), _recipe(), ledger, backoff=Backoff(max_retries=2)))
    assert (summary.asked, summary.skipped, summary.failed) == (2, 1, {"server": 3})
    assert summary.skipped_prompts[0].prompt_id == prompts[1].id
    assert asyncio.run(collect(prompts, _says(), _recipe(), ledger)).asked == 1


def test_a_refused_request_is_not_tried_again_and_the_others_go_on(ledger: Ledger) -> None:
    def answer(text: str) -> Said:
        return _error("refused", retryable=False) if text == "number 1" else text

    summary = asyncio.run(collect(_prompts(3), _says(answer), _recipe(), ledger))
    assert (summary.asked, summary.skipped, summary.retries) == (2, 1, 0)


@pytest.mark.parametrize("kind", ["auth", "quota", "unknown_model"])
def test_what_every_request_would_meet_stops_the_run_at_once_and_keeps_what_is_there(ledger: Ledger, kind: str) -> None:
    def answer(text: str) -> Said:
        return text if int(text.split()[1]) < 5 else _error(kind, retryable=False)

    model = _says(answer)
    with pytest.raises(UpstreamError, match=f"no: {kind}"):
        asyncio.run(collect(_prompts(1000), model, _recipe(limits={"max_in_flight": 1}), ledger))
    assert len(model.asked) == 6
    assert len(list(ledger.exchanges())) == 5


@pytest.mark.parametrize(("kind", "attempts"), [("server", 20), ("unreachable", 6)])
def test_a_teacher_that_never_answers_is_given_up_with_the_reason(
    ledger: Ledger, in_virtual_time: Run, kind: str, attempts: int
) -> None:
    model, circuit = _says(lambda text: _error(kind)), Circuit(max_failures=20, max_unreached=6)
    with pytest.raises(UpstreamError, match=rf"{attempts} requests in a row failed, the last with: no: {kind}"):
        in_virtual_time(collect(_prompts(1000), model, _recipe(), ledger, circuit=circuit))
    assert len(model.asked) == attempts


def test_an_attempt_that_may_have_been_billed_is_charged_and_not_repeated_for_ever(
    ledger: Ledger, in_virtual_time: Run
) -> None:
    model = _says(lambda text: _error("timeout", billed=True))
    recipe = _recipe(prices=DEAR)
    summary = in_virtual_time(collect(_prompts(1), model, recipe, ledger))
    assert summary.failed == {"timeout": 3}
    spent = ledger.spent("demo")
    worst = (len("number 0") + 16 + 64 + 8) * 0.001
    assert spent.attempts == 3
    assert spent.dollars == pytest.approx(3 * worst)


def test_no_permission_no_request(ledger: Ledger) -> None:
    model = ScriptedModel(lambda request: "x", source=Source("mine", "m", terms="forbids"))
    with pytest.raises(PermissionMissing):
        asyncio.run(collect(_prompts(1), model, _recipe(), ledger))
    assert not model.asked


def test_a_budget_in_dollars_needs_a_price(ledger: Ledger) -> None:
    model = _says()
    with pytest.raises(InputError, match="price of mine/m is unknown"):
        asyncio.run(collect(_prompts(1), model, _recipe(prices=None, budget={"dollars": 1.0}), ledger))
    assert not model.asked
    assert asyncio.run(collect(_prompts(1), model, _recipe(prices=None, budget={"tokens": 1000}), ledger)).asked == 1


def test_the_budget_stops_the_run_and_a_larger_one_goes_on_where_it_stopped(ledger: Ledger) -> None:
    model = _says(price=0.001)  # 4 tokens an exchange: $0.004; worst case 96 tokens: $0.096
    with pytest.raises(BudgetError, match=r"raise budget.dollars and run again: nothing is asked twice"):
        asyncio.run(collect(_prompts(100), model, _recipe(prices=DEAR, budget={"dollars": 0.2}), ledger))
    spent = ledger.spent("demo")
    assert 0.1 < spent.dollars <= 0.2, "it goes on until a worst case does not fit any more"
    before = len(model.asked)
    assert before == spent.exchanges
    summary = asyncio.run(collect(_prompts(100), model, _recipe(prices=DEAR, budget={"dollars": 1.0}), ledger))
    assert (summary.from_ledger, summary.asked) == (before, 100 - before)
    assert set(_asked(model).values()) == {1}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.integers(1, 3000), in_flight=st.integers(1, 32), uses=st.integers(0, 8), fails=st.integers(0, 5))
def test_what_the_upstream_billed_is_never_above_the_budget(
    tmp_path_factory: pytest.TempPathFactory, tokens: int, in_flight: int, uses: int, fails: int, in_virtual_time: Run
) -> None:
    billed = []

    async def answer(request: Request) -> Said:
        input_tokens = sum(len(m.content.encode()) for m in request.messages) + 16 * len(request.messages) + 64
        billed.append(input_tokens + uses)
        assert sum(billed) <= tokens, "even before anything came back"
        await asyncio.sleep(len(billed) % 3)
        if fails and len(billed) % (fails + 1) == 0:
            return _error("broken_off", billed=True)
        return Answer("a", usage=Usage(input_tokens, uses))

    recipe = _recipe(budget={"tokens": tokens}, limits={"max_in_flight": in_flight})
    with Ledger.open(tmp_path_factory.mktemp("ledger")) as ledger:
        model = ScriptedModel(answer, source=MINE)
        with suppress(BudgetError, UpstreamError):
            in_virtual_time(collect(_prompts(40), model, recipe, ledger, drain_s=100.0))
        spent = ledger.spent("demo")
        assert sum(billed) <= spent.input_tokens + spent.output_tokens <= tokens


def test_an_answer_that_does_not_say_what_it_used_is_charged_at_its_worst_case(ledger: Ledger) -> None:
    class Silent(ScriptedModel):
        async def ask(self, request: Request) -> Any:
            return replace(await super().ask(request), usage=Usage(), dollars=None)

    model = Silent(lambda request: "x", source=MINE)
    asyncio.run(collect(_prompts(1), model, _recipe(prices=DEAR, budget={"dollars": 1.0}), ledger))
    (kept,) = ledger.exchanges()
    assert kept.dollars == pytest.approx(0.096)
    assert kept.price_version == "recipe, worst case"
    spent = ledger.spent("demo")
    assert spent.input_tokens + spent.output_tokens == 96


def test_a_cancelled_run_keeps_what_comes_in_and_charges_what_does_not(ledger: Ledger, in_virtual_time: Run) -> None:
    async def answer(text: str) -> Said:
        await asyncio.sleep(5.0 if int(text.split()[1]) < 3 else 1000.0)
        return text

    async def run() -> None:
        recipe = _recipe(limits={"max_in_flight": 6})
        task = asyncio.create_task(collect(_prompts(100), _says(answer), recipe, ledger, drain_s=10.0))
        await asyncio.sleep(1.0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        in_virtual_time(run())
    assert sorted(one.answer for one in ledger.exchanges()) == ["number 0", "number 1", "number 2"]
    by_kind = ledger.spent_by_kind("demo")
    assert (by_kind["answered"].exchanges, by_kind["cancelled"].attempts) == (3, 3)


class _Full(Ledger):
    """A ledger whose disk is full after a number of writes: its opening, the lease's two levels, then answers."""

    room = 6

    def append_encoded(self, batch: Any) -> None:
        if self.room <= 0:
            raise StoreError("cannot append: No space left on device; make room there and run again")
        self.room -= 1
        super().append_encoded(batch)


def test_a_full_disk_stops_the_run_and_what_was_stored_is_found_again(tmp_path: Path) -> None:
    recipe = _recipe(limits={"max_in_flight": 2})
    with _Full.open(tmp_path) as full, pytest.raises(StoreError, match="No space left"):
        asyncio.run(collect(_prompts(100), _says(), recipe, full))
    with Ledger.open(tmp_path) as ledger:
        kept = len(list(ledger.exchanges()))
        assert kept > 0
        spent = ledger.spent_by_kind("demo")
        assert spent["crashed"].attempts == 1, "what could not be stored was in flight, and is charged"
        summary = asyncio.run(collect(_prompts(100), _says(), recipe, ledger))
        assert (summary.from_ledger, summary.asked) == (kept, 100 - kept)


def test_progress_counts_rate_errors_and_time_left(ledger: Ledger, in_virtual_time: Run) -> None:
    async def answer(text: str) -> Said:
        await asyncio.sleep(1.0)
        return text

    told: list[Progress] = []
    recipe = _recipe(limits={"max_in_flight": 2})
    in_virtual_time(collect(_prompts(20), _says(answer), recipe, ledger, total=20, on_progress=told.append))
    assert told[-1].done == 20
    assert told[-1].eta_s == 0.0
    middle = [one for one in told if 8 <= one.done <= 12]
    assert middle
    assert all(0.5 < one.per_s < 3.0 for one in middle)
    assert max(one.in_flight for one in told) <= 2


def test_a_tally_handed_in_can_be_read_after_an_error(ledger: Ledger) -> None:
    def answer(text: str) -> Said:
        return text if text == "number 0" else _error("auth", retryable=False)

    tally = Tally()
    with pytest.raises(UpstreamError):
        asyncio.run(collect(_prompts(5), _says(answer), _recipe(limits={"max_in_flight": 1}), ledger, tally=tally))
    assert (tally.asked, tally.failed) == (1, {"auth": 1})


def test_a_bad_row_in_the_middle_stops_the_run_with_its_own_error(ledger: Ledger) -> None:
    def prompts() -> Iterator[Prompt]:
        yield from _prompts(4)
        raise InputError("prompts.jsonl:5: not JSON; mend or remove the line")

    with pytest.raises(InputError, match=r"prompts.jsonl:5"):
        asyncio.run(collect(prompts(), _says(), _recipe(), ledger))
    assert len(list(ledger.exchanges())) == 4


CLIENT = """
import sys
from pathlib import Path
from spiritsafe.distil.ask import ask_all
from spiritsafe.distil.prompt import make_prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Message

recipe = Recipe.model_validate_json(sys.argv[1])
with Ledger.open(Path(sys.argv[2])) as ledger:
    print("started", flush=True)
    ask_all((make_prompt((Message("user", f"number {i}"),)) for i in range(60)), recipe, ledger)
"""


def test_a_killed_process_loses_no_answer_it_had_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    withheld = threading.Event()
    hold = True

    async def answer(asked: Asked) -> str:
        if hold and asked.number >= 30:
            if asked.number == 37:
                withheld.set()  # eight are in flight, and their answers never come
            await asyncio.sleep(1000)
        return asked.text.upper()

    with served_in_thread(answer) as server:
        recipe = _recipe(base_url=server.base_url, limits={"max_in_flight": 8}, prices=DEAR, budget={"dollars": 20.0})
        command = [sys.executable, "-c", CLIENT, recipe.model_dump_json(), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
            assert withheld.wait(60)
            client.kill()
        hold = False
        with Ledger.open(tmp_path) as ledger:
            kept = {one.messages[-1].content for one in ledger.exchanges()}
            crashed = ledger.spent_by_kind("demo")["crashed"]
        assert len(kept) == 30, "eight workers hold eight requests, so all that was answered had been stored"
        assert crashed.dollars >= 8 * 0.096, "what was in flight may have been billed"
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        asked = Counter(one.text for one in server.asked)
    assert len(asked) == 60
    assert all(asked[text] == 1 for text in kept)
    assert sum(asked.values()) == 60 + 8
