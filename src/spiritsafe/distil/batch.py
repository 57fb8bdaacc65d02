"""Batch: OpenAI-format batch files as a second way to ask, at the endpoint's share of the price, within a day.

    missing requests -> files -> upload and submit -> poll -> ingest into the ledger -> what is still missing, again

Every step leaves its trace on disk before and after, so the driver may be stopped anywhere, in days and processes of its
own, and goes on where it was: a file is never submitted twice, an answer never counted twice. The budget holds back the
worst case of every file that is not ingested yet. Answers cut off by their limit are asked for once more in a later file.

Limits: OpenAI and those who imitate its files and batches (Groq). The budget of a recipe knows of the batches in its own
run folder only.
"""

from __future__ import annotations

POLL_EVERY_S = 60.0
STALLED_ROUNDS = 3
"""Batches in a row that may end without one new answer before the run stops."""

ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
APPEND_AT_ONCE = 256
FIND_PAGES = 20
"""Pages of 100 batches looked through for one that an earlier process may have made."""
