"""The exchange line, version 1: an exchange as one JSON object, documented in docs/reference/exchange-format.md.

`to_json` and `from_json` are each other's inverse, and so are `dumps` and `loads`. Fields at their default are left
out, but for `v`, `id`, `account`, `at`, `dialect`, `model`, `messages`, `answer` and `finish_reason`. Keys that this
version does not know are kept in `Exchange.other` and written again: at the top level under their own name; inside
usage, timing, source, logprobs and messages under the section's name.

Limits: text that is not Unicode (lone surrogates) is stored as U+FFFD, integers beyond 64 bits as floats, NaN and
infinities as null, because JSON lines can hold none of them.
"""

from __future__ import annotations

from spiritsafe.exchanges.parsing import from_json, loads
from spiritsafe.exchanges.rendering import dumps, to_json

__all__ = ["dumps", "from_json", "loads", "to_json"]
