"""bespokelabs-curator asking for N answers, C at a time, into its own cache: curator_llm.py BASE_URL N C CACHE_FOLDER.

Everything that would call out is off: telemetry, the viewer, tiktoken's download (litellm carries the file) and the
download of prices. The model name is one that litellm knows, since curator fails on others.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

base_url, count, in_flight, cache = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
litellm_folder = Path((importlib.util.find_spec("litellm") or sys.exit("litellm is missing")).origin or "").parent
os.environ |= {
    "OPENAI_API_KEY": "none",
    "OPENAI_BASE_URL": base_url,
    "TELEMETRY_ENABLED": "false",
    "CURATOR_CACHE_DIR": cache,
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TIKTOKEN_CACHE_DIR": str(litellm_folder / "litellm_core_utils" / "tokenizers"),
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_CACHE": f"{cache}/hf",
}
started_s = time.perf_counter()
from bespokelabs import curator  # noqa: E402  (the import is part of what is measured)

import_s = time.perf_counter() - started_s
from work import Stopwatch, prompt_of  # noqa: E402


class Extractor(curator.LLM):  # type: ignore[misc]
    def prompt(self, row: dict[str, str]) -> str:
        return row["prompt"]

    def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
        return {"answer": response}


llm = Extractor(
    model_name="gpt-4o-mini",
    backend="openai",
    generation_params={"temperature": 0.0, "max_tokens": 512},
    backend_params={
        "max_requests_per_minute": 10_000_000,
        "max_tokens_per_minute": 10_000_000_000,
        "max_concurrent_requests": in_flight,
    },
)
rows = [{"prompt": prompt_of(item)} for item in range(count)]
watch = Stopwatch()
answers = llm(rows)
kept = getattr(answers, "dataset", answers)
if len(kept) != count:
    raise SystemExit(f"answers are missing: {len(kept)} of {count}")
watch.report(count, import_s=import_s)
