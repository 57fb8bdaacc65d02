"""Native API formats: one file a dialect, and `DIALECTS`, the table of them."""

from spiritsafe.registry import Table
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.base import Dialect
from spiritsafe.wire.chat import CHAT, OPENAI

DIALECTS: Table[Dialect] = Table("dialect", (CHAT, OPENAI, ANTHROPIC))
"""Every API format that can be spoken, by name."""
