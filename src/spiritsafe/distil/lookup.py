"""Lookup: which requests are in the ledger already, found out for many at a time.

One query for a hundred keys costs little more than one for a single key, and each lets the other threads in between.
What is answered between a query and the use of its result is remembered until the next, so nothing is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Request

AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Job:
    """One request about one prompt.

    Attributes:
        prompt_id: which prompt.
        request: what is asked.
        key: the ledger's key of it.
    """

    prompt_id: str
    request: Request
    key: bytes


@dataclass
class Lookup:
    """Answers whether a key may be in `ledger`, for jobs that went through `ahead`.

    Attributes:
        ledger: where to look.
        key: the ledger's key of a request.
    """

    ledger: Ledger
    key: Callable[[Request], bytes]
    _stored: set[bytes] = field(default_factory=set)

    def ahead(self, requests: Iterable[tuple[str, Request]]) -> Iterator[Job]:
        """The jobs of `requests` (prompt ids and what is asked), looked up some steps ahead of their use."""
        coming = _until_error(Job(prompt_id, request, self.key(request)) for prompt_id, request in requests)
        while chunk := list(islice(coming, AT_ONCE)):
            jobs = [job for job in chunk if isinstance(job, Job)]
            self._stored = self.ledger.known([job.key for job in jobs])
            yield from jobs
            if len(jobs) < len(chunk) and isinstance(chunk[-1], Exception):
                raise chunk[-1]

    def may_be_stored(self, key: bytes) -> bool:
        """False where the answer to the last job given out, or to one just before it, is certainly not stored."""
        return key in self._stored

    def stored(self, key: bytes) -> None:
        """Say that an answer was stored."""
        self._stored.add(key)


def _until_error(jobs: Iterator[Job]) -> Iterator[Job | Exception]:
    """`jobs`, and the error they end with as the last item: those before it are done first."""
    try:
        yield from jobs
    except Exception as error:
        yield error
