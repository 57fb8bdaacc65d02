"""Native API formats: one file a dialect, and `DIALECTS`, the table of them."""

from spiritsafe.registry import Table
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.base import Dialect
from spiritsafe.wire.chat import CHAT, OPENAI
from spiritsafe.wire.responses import RESPONSES

DIALECTS: Table[Dialect] = Table("dialect", (CHAT, OPENAI, ANTHROPIC, RESPONSES))
"""Every API format that can be spoken, by name."""
