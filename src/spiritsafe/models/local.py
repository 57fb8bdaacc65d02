"""Local weights: a causal model and its tokenizer from a folder, an embedded model or the hub.

    weights = load_weights("smollm2-135m")      # fetched and converted the first time
    outline = load_outline("smollm2-135m")      # the same without its numbers: how much memory would it take?

Input: a folder in the layout of transformers, the name of an embedded model, or a name on the hub. Output: the model in
evaluation mode and its tokenizer.

Limits: causal models of text, on the CPU; a model of the hub runs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spiritsafe.errors import InputError, MissingExtra, shown
from spiritsafe.models.convert import converted
from spiritsafe.models.embedded import is_embedded, rows

DTYPES = ("float32", "bfloat16", "float16")

HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Weights:
    """A causal model of transformers, in evaluation mode.

    Attributes:
        module: the model, on the CPU; an outline's is on torch's meta device.
        tokenizer: its tokenizer, with or without a chat template.
        folder: where it was loaded from; None where transformers keeps it in its own cache.
    """

    module: Any
    tokenizer: Any
    folder: Path | None


def load_weights(model: str, *, dtype: str = "float32", progress: Callable[[str], None] | None = None) -> Weights:
    """The weights and the tokenizer of `model`.

    Args:
        model: path of a folder, name of an embedded model, or name on the hub, tried in this order.
        dtype: of the numbers in memory, one of `DTYPES`.
        progress: told when an embedded model is fetched and converted.

    Raises:
        InputError: there is no such model, it cannot be loaded, or there is no such dtype.
        MissingExtra: torch or transformers is not installed.
        UpstreamError, StoreError: an embedded model could not be fetched, or not be written to the cache.
    """
    if dtype not in DTYPES:
        raise InputError(f"got dtype {shown(dtype)}, wanted one of {', '.join(DTYPES)}")
    return _opened(model, partial(_with_numbers, dtype=dtype), progress)


def load_outline(model: str, *, progress: Callable[[str], None] | None = None) -> Weights:
    """`model` as its configuration describes it, with shapes in place of numbers, and its tokenizer.

    Takes no memory to speak of, however large the model is, and reads no weights of it: a folder without any will do.
    Arguments and errors as `load_weights`.
    """
    return _opened(model, _without_numbers, progress)


def _opened(model: str, build: Callable[[str, bool], Any], progress: Callable[[str], None] | None) -> Weights:
    """The model that `build` makes of a path or hub name (and whether only the cache may be asked), with tokenizer."""
    _require_libraries()
    folder = find_folder(model, progress=progress)
    refusal = _hub_refusal(model) if folder is None else None
    where, cached_only = model if folder is None else str(folder), refusal is not None
    try:
        with quiet():
            tokenizer, module = _tokenizer(where, cached_only), build(where, cached_only)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        # What transformers says is missing comes as OSError, what it cannot make sense of as any of the others.
        raise _unknown(model, refusal or _first_line(error)) from None
    return Weights(module.eval(), tokenizer, folder)


def find_folder(model: str, *, progress: Callable[[str], None] | None = None) -> Path | None:
    """The folder to load `model` from; None for a name on the hub.

    Raises:
        InputError: there is such a path and it is no model's folder, or the name can be none of the hub's.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{shown(model)} has no config.json, wanted a folder in the layout of transformers")
        return path
    if path.is_file():
        raise InputError(f"{shown(model)} is a file, wanted a folder in the layout of transformers")
    if is_embedded(model):
        return converted(model, progress=progress)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1 or not model.strip():
        raise _unknown(model, "there is no such folder")
    return None


def require_chat_template(tokenizer: Any, name: str) -> None:
    """Check that `tokenizer` can turn messages into text.

    Raises:
        InputError: it has no chat template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"model {shown(name)} has no chat template, wanted one that turns messages into text; take the instruct "
            "variant of the model, or put a chat_template.jinja into its folder"
        )


def _unknown(model: str, reason: str) -> InputError:
    embedded = ", ".join(row.name for row in rows())
    return InputError(
        f"cannot load model {shown(model)} ({reason}); give a folder in the layout of transformers, an embedded model "
        f"({embedded}), or a name on the hub that this machine can reach or has in its cache"
    )


def _require_libraries() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra.of("loading local weights", "distil") from None


def _hub_refusal(model: str) -> str | None:
    """Why the hub does not give `model`, or None where it does; transformers would go on asking for a minute."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(model, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # the hub's own errors and those of whichever HTTP client it uses have no common base
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shown(lines[0], 160)


def _tokenizer(where: str, cached_only: bool) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(where, local_files_only=cached_only)


def _with_numbers(where: str, cached_only: bool, *, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, dtype), local_files_only=cached_only)


def _without_numbers(where: str, cached_only: bool) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(where, local_files_only=cached_only)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without its progress bars and without all messages but errors, as they were afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
