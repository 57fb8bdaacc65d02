"""The GPU benchmarks run at toy size without a GPU, so that they work when one is there."""

import runpy
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "benchmarks" / "gpu"


def test_the_loss_benchmark_times_every_way(capsys) -> None:
    told = runpy.run_path(str(GPU / "loss.py"))["main"](["--toy"])

    assert {"held", "products, chunk 16", "topk_forward_kl, chunk 16", "sequence, chunk 32"} <= set(told["ways"])
    assert told["loss_ms"] > 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("{")


def test_the_training_benchmark_trains(capsys) -> None:
    told = runpy.run_path(str(GPU / "train.py"))["main"](["--toy", "--peak-tflops", "1"])

    assert told["tokens_per_s"] > 0
    assert 0 < told["share_of_peak"] < 1
    assert capsys.readouterr().out.rstrip().endswith("}")


def test_without_a_gpu_the_full_size_is_refused() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for name in ("loss.py", "train.py"):
        with pytest.raises(SystemExit, match="use --toy"):
            runpy.run_path(str(GPU / name))["main"]([])
