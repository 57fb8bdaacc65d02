"""Several processes: the same gradients and weights as one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from spiritsafe.distil.batches import share_of
from spiritsafe.distil.ranks import Ranks, add_gradients, joined, total_of
from spiritsafe.distil.recipe import Train
from spiritsafe.distil.rows import token_rows
from spiritsafe.distil.run import RunFolder
from spiritsafe.distil.students import train_student
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.distil.train import Learner

WORKERS = """
import os, sys
from pathlib import Path
from transformers import AutoTokenizer, LlamaForCausalLM
from spiritsafe.distil.ranks import joined
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder
from spiritsafe.distil.students import train_student

recipe = Recipe.model_validate_json(Path(sys.argv[2]).read_text())
other = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if other else "1"
with joined() as ranks:
    summary = train_student(RunFolder(Path(sys.argv[1])), recipe, 5, ranks=ranks)
    print(ranks.rank, ranks.world, summary.ranks, flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) if other else 0)
"""
"""Two processes out of one that has imported what both need; torch and transformers take six seconds of CPU."""


@pytest.fixture
def rows(new_row):
    lands = {"France": "Paris", "Norway": "Oslo, please", "Chile": "no", "Kenya": "Nairobi is the city", "Japan": "12"}
    return [new_row(f"What is the capital of {land}?", city) for land, city in lands.items()]


def weights_of(folder: Any) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.slow  # a process that imports torch: 17 s on a busy machine
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_end_with_the_weights_of_one(new_run, rows, tmp_path) -> None:
    run, recipe = new_run(
        rows, train={"epochs": 2, "batch_size": 3, "micro_batch_tokens": 40, "learning_rate": 1e-3, "threads": 1}
    )
    train_student(run, recipe, 5)
    alone = weights_of(run.root / "student")
    (run.root / "student").rename(tmp_path / "alone")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(run.root), str(tmp_path / "recipe.json")],
        env=os.environ | shared,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )

    assert sorted(done.stdout.splitlines()) == ["0 2 2", "1 2 2"]
    together = weights_of(RunFolder(run.root).root / "student")
    for name, weight in alone.items():
        torch.testing.assert_close(together[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_shares_of_a_batch_add_up_to_its_gradient(new_model, new_run, rows, tokenizer, world: int) -> None:
    _, recipe = new_run(rows)
    batch = token_rows(rows, ChatTemplate(tokenizer), recipe.student, max_length=100)
    supervised = sum(row.supervised for row in batch)
    model = new_model(400)
    learner = Learner(model, tokenizer, Train())

    learner.learn(batch, 1 / supervised)
    whole = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    for rank in range(world):
        if share := share_of(batch, rank, world):
            learner.learn(share, 1 / supervised)

    for parameter, wanted in zip(model.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-5, atol=1e-6)


def test_alone_there_is_nobody_to_wait_for() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)

    with joined() as ranks:
        add_gradients([weight], ranks)

    assert ranks == Ranks(0, 1, 0)
    assert ranks.first
    assert total_of(1.5, ranks) == 1.5
    assert weight.grad.tolist() == [1, 1]
