from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from spiritsafe.distil.batch import Batches, advance, collect_by_batch, submit, write_missing
from spiritsafe.distil.batch_files import BatchFolder
from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.errors import BudgetError, InputError, UpstreamError
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Message
from spiritsafe.models.api import ApiModel
from spiritsafe.models.endpoints import Endpoint, Terms
from spiritsafe.models.prices import Prices
from spiritsafe.models.replies import Asked, Reply, serve_scripted
from spiritsafe.models.retries import Backoff

PRICES = {"input_per_million": 1000.0, "output_per_million": 1000.0}
WORST = (len("number 0") + 16 + 64 + 8) * 0.001 / 2  # dollars a request, at half price


def _recipe(**budget: Any) -> Recipe:
    teacher = {
        "endpoint": "fake",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "prices": PRICES,
        "terms": {"terms": "permits"},
        "sampling": {"max_tokens": 8, "escalate_max_tokens": 16},
    }
    return Recipe.model_validate(
        {
            "name": "demo",
            "teacher": teacher,
            "student": {"model": "s"},
            "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
            "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
            "budget": budget,
        }
    )


def _prompts(count: int) -> Callable[[], list[Prompt]]:
    return lambda: [make_prompt((Message("user", f"number {i}"),)) for i in range(count)]


Answers = Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]


def _chat(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }


def _upper(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, _chat(body["messages"][-1]["content"].upper())


@dataclass
class FakeBatches:
    """The files and batches API of a provider that works through a batch the second time it is looked at."""

    answers: Answers = _upper
    final: str = "completed"
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: int = 0
    drop_next_create: bool = False

    def __call__(self, asked: Asked) -> Reply:
        route = asked.path.partition("?")[0].removeprefix("/v1")
        if asked.method == "POST" and route == "/files":
            return self._upload(asked)
        if asked.method == "POST" and route == "/batches":
            return self._create(asked)
        if route == "/batches":
            return _json({"data": list(self.batches.values()), "has_more": False})
        if route.startswith("/batches/"):
            return self._look(route.removeprefix("/batches/"))
        return Reply(self.files[route.split("/")[2]])

    def _upload(self, asked: Asked) -> Reply:
        self.uploads += 1
        identity = f"file-{self.uploads}"
        head, _, rest = asked.body.partition(b'filename="')[2].partition(b"\r\n\r\n")
        assert head
        self.files[identity] = rest[: rest.rindex(b"\r\n--")]
        return _json({"id": identity})

    def _create(self, asked: Asked) -> Reply:
        batch = {"id": f"batch-{len(self.batches) + 1}", "status": "validating"} | asked.json
        self.batches[batch["id"]] = batch
        if self.drop_next_create:
            self.drop_next_create = False
            return Reply(cut=0)  # it was made, and nobody was told
        return _json(batch)

    def _look(self, identity: str) -> Reply:
        batch = self.batches[identity]
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress":
            self._finish(batch)
        return _json(batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        output, errors = [], []
        for line in map(orjson.loads, self.files[batch["input_file_id"]].splitlines()):
            said = self.answers(line["body"])
            row: dict[str, Any] = {"custom_id": line["custom_id"], "response": None, "error": None}
            if said is None:
                errors.append(row | {"error": {"code": "batch_expired", "message": "too late"}})
            else:
                kept = output if said[0] == 200 else errors
                kept.append(row | {"response": {"status_code": said[0], "body": said[1]}})
        for name, rows in (("output_file_id", output), ("error_file_id", errors)):
            if rows:
                batch[name] = f"{name}-{batch['id']}"
                self.files[batch[name]] = b"\n".join(orjson.dumps(row) for row in reversed(rows)) + b"\n"
        batch["status"] = self.final

    def asked(self) -> Counter[str]:
        lines = [line for batch in self.batches.values() for line in self.files[batch["input_file_id"]].splitlines()]
        return Counter(orjson.loads(line)["custom_id"] for line in lines)


def _json(value: Any) -> Reply:
    return Reply(orjson.dumps(value))


@asynccontextmanager
async def _teacher(fake: FakeBatches) -> AsyncIterator[ApiModel]:
    async with serve_scripted(fake) as server:
        endpoint = Endpoint("fake", server.base_url, batch_share=0.5, terms=Terms("permits"))
        model = ApiModel(endpoint, "m", prices=Prices(1000.0, 1000.0, "list"))
        try:
            yield model
        finally:
            await model.close()


def _run(fake: FakeBatches, work: Callable[[ApiModel], Any]) -> Any:
    async def run() -> Any:
        async with _teacher(fake) as model:
            return await work(model)

    return asyncio.run(run())


def _collect(fake: FakeBatches, ledger: Ledger, folder: Path, count: int, recipe: Recipe | None = None) -> Any:
    return _run(
        fake,
        lambda model: collect_by_batch(
            _prompts(count),
            model,
            recipe or _recipe(),
            ledger,
            folder,
            poll_every_s=0.0,
            backoff=Backoff(base_s=0.0),
        ),
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger") as opened:
        yield opened


def test_answers_come_at_half_price_and_a_second_run_submits_nothing(ledger: Ledger, tmp_path: Path) -> None:
    fake = FakeBatches()
    summary = _collect(fake, ledger, tmp_path / "batch", 20)
    assert (summary.asked, summary.done) == (20, True)
    kept = list(ledger.exchanges())
    assert {one.answer for one in kept} == {f"NUMBER {i}" for i in range(20)}
    assert all(one.dollars == pytest.approx(12 * 0.001 / 2) and one.charged_to == "demo" for one in kept)
    assert _collect(fake, ledger, tmp_path / "batch", 20).asked == 0
    assert len(fake.batches) == 1


def test_only_what_is_missing_is_submitted(ledger: Ledger, tmp_path: Path) -> None:
    fake = FakeBatches()
    _collect(fake, ledger, tmp_path / "batch", 5)
    _collect(fake, ledger, tmp_path / "batch", 8)
    assert set(fake.asked().values()) == {1}
    assert len(fake.asked()) == 8


def test_what_expired_is_submitted_again_and_what_came_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def half(body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        text = body["messages"][-1]["content"]
        seen[text] += 1
        return None if seen[text] == 1 and int(text.split()[1]) % 2 else _upper(body)

    fake = FakeBatches(answers=half, final="expired")
    summary = _collect(fake, ledger, tmp_path / "batch", 10)
    assert (summary.asked, summary.failed) == (10, {"batch_expired": 5})
    assert sorted(fake.asked().values()) == [1] * 5 + [2] * 5


def test_a_refused_line_is_counted_skipped_and_not_submitted_again(ledger: Ledger, tmp_path: Path) -> None:
    def picky(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        refused = body["messages"][-1]["content"] == "number 1"
        return (400, {"error": {"message": "no"}}) if refused else _upper(body)

    fake = FakeBatches(answers=picky)
    summary = _collect(fake, ledger, tmp_path / "batch", 3)
    assert (summary.asked, summary.skipped, summary.failed) == (2, 1, {"refused": 1})
    assert len(fake.batches) == 1


def test_a_batch_that_meets_an_empty_account_stops_the_run_and_is_submitted_again_later(
    ledger: Ledger, tmp_path: Path
) -> None:
    def broke(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        paid = body["messages"][-1]["content"] == "number 0"
        return _upper(body) if paid else (429, {"error": {"message": "no", "code": "insufficient_quota"}})

    fake = FakeBatches(answers=broke)
    with pytest.raises(UpstreamError, match="no credit left; top it up"):
        _collect(fake, ledger, tmp_path / "batch", 3)
    assert len(list(ledger.exchanges())) == 1
    fake.answers = _upper
    assert _collect(fake, ledger, tmp_path / "batch", 3).asked == 2


def test_an_answer_that_was_cut_off_is_asked_again_with_the_larger_limit(ledger: Ledger, tmp_path: Path) -> None:
    def short(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, _chat("a", "length" if body["max_tokens"] == 8 else "stop")

    fake = FakeBatches(answers=short)
    summary = _collect(fake, ledger, tmp_path / "batch", 4)
    assert (summary.asked, summary.truncated) == (8, 4)
    assert Counter(one.finish_reason for one in ledger.exchanges()) == {"length": 4, "stop": 4}


def test_a_batch_that_was_made_without_our_knowing_is_found_and_not_made_again(ledger: Ledger, tmp_path: Path) -> None:
    fake = FakeBatches(drop_next_create=True)
    assert _collect(fake, ledger, tmp_path / "batch", 4).asked == 4
    assert len(fake.batches) == 1
    assert fake.uploads == 1


def test_every_step_can_be_taken_by_a_process_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    fake, folder = FakeBatches(), tmp_path / "batch"

    async def step(model: ApiModel) -> bool:
        return await advance(Batches(model, _recipe(), ledger, BatchFolder(folder)), _prompts(6))

    done = [_run(fake, step) for _ in range(3)]
    assert done == [False, False, True]
    assert len(fake.batches) == 1
    assert len(list(ledger.exchanges())) == 6


def test_ingesting_twice_counts_and_pays_once(ledger: Ledger, tmp_path: Path) -> None:
    fake, folder = FakeBatches(), tmp_path / "batch"
    _collect(fake, ledger, folder, 6)
    before = ledger.spent("demo")
    kept = BatchFolder(folder)
    kept.update(kept.files[0], step="submitted")  # as if the process had died before it wrote that it was done
    summary = _collect(fake, ledger, folder, 6)
    assert (summary.asked, summary.from_ledger) == (0, 6)
    assert ledger.spent("demo") == before


def test_the_worst_case_of_open_files_is_held_back_and_files_are_cut_to_the_budget(
    ledger: Ledger, tmp_path: Path
) -> None:
    fake, folder = FakeBatches(), tmp_path / "batch"
    recipe = _recipe(dollars=WORST * 3.5)

    async def work(model: ApiModel) -> list[int]:
        run = Batches(model, recipe, ledger, BatchFolder(folder))
        written = write_missing(run, _prompts(10))
        assert not write_missing(run, _prompts(10)), "what is open may make room: no error yet"
        for file in written:
            await submit(run, file)
        return [file.requests for file in written]

    assert _run(fake, work) == [3]
    with pytest.raises(BudgetError, match=r"raise budget.dollars and run again"):
        _collect(fake, ledger, folder, 1000, recipe)
    spent = ledger.spent("demo")
    assert WORST * 2.4 < spent.dollars <= WORST * 3.5, "it goes on until a worst case does not fit any more"
    assert set(fake.asked().values()) == {1}


def test_a_batch_that_is_not_accepted_says_why(ledger: Ledger, tmp_path: Path) -> None:
    fake = FakeBatches(final="failed", answers=lambda body: None)
    with pytest.raises(UpstreamError, match=r"batch batch-1 failed without an answer"):
        _collect(fake, ledger, tmp_path / "batch", 2)


def test_an_endpoint_without_batch_files_is_refused_before_anything_is_sent(ledger: Ledger, tmp_path: Path) -> None:
    async def work() -> None:
        model = ApiModel(Endpoint("fake", "http://127.0.0.1:9/v1", terms=Terms("permits")), "m")
        await collect_by_batch(_prompts(1), model, _recipe(), ledger, tmp_path / "batch")

    with pytest.raises(InputError, match=r'set teacher.transport = "live"'):
        asyncio.run(work())
