"""Tables in Redis that several gateways write to, and each follows from where it last looked.

A table is a hash of rows and an order of their names by the number of their last change. Writing a row that is there
already changes nothing, so what is handed on to where it came from goes no further. A row is only written by who has
seen its last change, so no change is lost to another one that came at the same time. Numbers go on from the highest
that a table has, also where something else than a gateway wrote it, so that whoever has read as far misses nothing.

Everything expires by itself when no gateway has asked for it for `KEPT_S`. Works with Redis 5 and later, and Valkey.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from spiritsafe.errors import StoreError

PREFIX = "spiritsafe:1:"
"""Of every key; another number for whatever cannot share with this."""

KEPT_S = 3 * 86_400
PAGE_ROWS = 256
"""Rows that are read or written at once, so that a worker's loop is held up for a few milliseconds at most."""

PATIENCE_S = 1.0
"""How long Redis may take to answer."""

ANY = 1 << 53
"""No change of a row has a number as high."""

_PUSH = """
local refused = {}
local newest = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or 0)
if newest > tonumber(redis.call('GET', KEYS[3]) or 0) and newest < 2^53 then
  redis.call('SET', KEYS[3], string.format('%.0f', newest))
end
for i = 3, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', KEYS[1], name) ~= value then
    local at = redis.call('ZSCORE', KEYS[2], name)
    if at and tonumber(at) > tonumber(ARGV[1]) then
      refused[#refused + 1] = name
    else
      redis.call('HSET', KEYS[1], name, value)
      redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), name)
    end
  end
end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[2])
if over > 0 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
    redis.call('HDEL', KEYS[1], name)
  end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, over - 1)
end
return refused
"""

_PULL = """
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, ARGV[4])
end
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local read, lengths, values = {}, {}, {}
for i = 1, #names, 2 do
  if ARGV[3] == '' or not string.find(names[i], ARGV[3], 1, true) then
    local value = redis.call('HGET', KEYS[1], names[i])
    read[#read + 1], lengths[#lengths + 1], values[#values + 1] = names[i], #value, value
  end
end
local last = tonumber(names[#names] or ARGV[1])
return {last, #names / 2, table.concat(read, '\\n'), table.concat(lengths, ' '), table.concat(values)}
"""

_BEAT = """
local last = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms - ARGV[3])
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, ARGV[4])
end
return {last, redis.call('ZRANGE', KEYS[2], 0, -1)}
"""

_AGREE = """
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2])
return redis.call('GET', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a table that have changed.

    Attributes:
        last: where to go on from.
        is_full: whether there may be more.
        rows: names and values, in the order of their changes.
    """

    last: int
    is_full: bool
    rows: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Beat:
    """Who is there: `last` is the word this member left before, None where Redis has none; `living` are all members."""

    last: str | None
    living: frozenset[str]


class Batch:
    """Several questions for one round trip, answered in their order."""

    def __init__(self, redis: Redis, where: str) -> None:
        self._pipe = redis.pipeline(transaction=False)
        self._where = where
        self._read: list[Callable[[Any], Any]] = []

    def push(self, table: str, rows: Sequence[tuple[str, bytes]], *, most: int, seen: int = ANY) -> None:
        """Write rows that have not changed after `seen`; answers with the names of those that have.

        The table keeps `most` rows, those that changed last.
        """
        values = [part for row in rows for part in row]
        self._add(_PUSH, [*_keys(table), _key("version")], [seen, most, *values], _names)

    def pull(self, table: str, since: int, without: str = "") -> None:
        """Read what has changed after `since`, but for rows whose names hold `without`; answers with a `Page`."""
        keys = [*_keys(table), _key("version")]
        self._add(_PULL, keys, [since, PAGE_ROWS, without, KEPT_S], _page)

    def beat(self, member: str, word: str, alive_s: float) -> None:
        """Say that `member` lives, and leave a word; answers with a `Beat`."""
        keys = [_key(f"word:{member}"), _key("alive"), _key("pepper")]
        self._add(_BEAT, keys, [member, word, int(alive_s * 1000), KEPT_S], _beat)

    def leave(self, member: str) -> None:
        """Say that `member` is about to end."""
        self._pipe.delete(_key(f"word:{member}"))
        self._pipe.zrem(_key("alive"), member)
        self._read += (int, int)

    async def ask(self) -> list[Any]:
        """The answers.

        Raises:
            StoreError: Redis is not reached, or does not take it.
        """
        answers = await _patiently(self._pipe.execute(), self._where)
        return [read(answer) for read, answer in zip(self._read, answers, strict=True)]

    def _add(self, script: str, keys: list[str], values: list[Any], read: Callable[[Any], Any]) -> None:
        self._pipe.eval(script, len(keys), *keys, *values)
        self._read.append(read)


class Tables:
    """The tables in the Redis at `url`, with `password` where it asks for one.

    Attributes:
        where: host and port, for messages.
    """

    def __init__(self, url: str, password: str | None) -> None:
        parts = urlsplit(url)
        self.where = f"{parts.hostname}:{parts.port or 6379}"
        self._redis = Redis.from_url(
            url,
            password=password,
            protocol=2,
            # Time is kept here: its own way, asyncio.wait_for, can swallow a cancellation before Python 3.12.
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )

    def batch(self) -> Batch:
        """Several questions at once."""
        return Batch(self._redis, self.where)

    async def agreed(self, fingerprint: str) -> str:
        """The fingerprint that all go by; the first one to come says which.

        Raises:
            StoreError: Redis is not reached, or does not take it.
        """
        asked = self._redis.eval(_AGREE, 1, _key("pepper"), fingerprint, str(KEPT_S))
        answer: bytes = await _patiently(asked, self.where)
        return answer.decode()

    async def close(self) -> None:
        """Let the connection go."""
        with suppress(StoreError):
            await _patiently(self._redis.aclose(), self.where)


def _key(name: str) -> str:
    return PREFIX + name


def _keys(table: str) -> tuple[str, str]:
    return _key(table), _key(f"{table}:order")


def _names(answer: list[bytes]) -> frozenset[str]:
    return frozenset(name.decode() for name in answer)


def _page(answer: tuple[int, int, bytes, bytes, bytes]) -> Page:
    """The rows come in three strings, since reading one takes Redis's client as long whatever its length."""
    last, count, names, lengths, values = answer
    ends = [0, *accumulate(map(int, lengths.split()))]
    read = [values[start:end] for start, end in pairwise(ends)]
    return Page(last, count >= PAGE_ROWS, list(zip(names.decode().split("\n") if read else (), read, strict=True)))


def _beat(answer: list[Any]) -> Beat:
    last, living = answer
    return Beat(None if last is None else last.decode(), _names(living))


async def _patiently(asked: Awaitable[Any], where: str) -> Any:
    """What Redis answers.

    Raises:
        StoreError: it does not in time, or refuses.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asked
    except (RedisError, OSError) as error:
        said = " ".join(str(error).split()) or f"nothing came in {PATIENCE_S:.0f} s"
        raise StoreError(
            f"Redis at {where} is not reached ({said}); start it, or take redis_url out of guard.toml"
        ) from None
