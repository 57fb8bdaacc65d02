"""The balancer: even, untouched, and nobody kept waiting for a dead server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.models.balancer import Address, Balancer, least_busy

counts = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@given(counts, st.integers(0, 5))
def test_a_connection_goes_where_fewest_are_open(open_counts: list[int], last: int) -> None:
    chosen = least_busy(open_counts, last % len(open_counts))

    assert open_counts[chosen] == min(open_counts)


@given(st.integers(1, 6), st.integers(0, 5))
def test_among_equals_every_server_has_its_turn(servers: int, last: int) -> None:
    turns = []
    for _ in range(servers):
        last = least_busy([0] * servers, last % servers)
        turns.append(last)

    assert sorted(turns) == list(range(servers))


@given(st.integers(1, 6), st.integers(1, 30))
def test_connections_that_stay_open_are_spread_evenly(servers: int, connections: int) -> None:
    open_counts, last = [0] * servers, servers - 1
    for _ in range(connections):
        last = least_busy(open_counts, last)
        open_counts[last] += 1

    assert max(open_counts) - min(open_counts) <= 1


@asynccontextmanager
async def naming_server(name: bytes) -> AsyncIterator[Address]:
    """A server that answers each line with its name and that line, and closes at the client's end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(name + line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()


@asynccontextmanager
async def balanced(*backends: Address) -> AsyncIterator[Address]:
    server = await asyncio.start_server(Balancer(backends).serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    return await reader.readline()


def test_kept_connections_are_shared_out_and_each_stays_where_it_is() -> None:
    async def scene() -> None:
        async with naming_server(b"A") as a, naming_server(b"B") as b, balanced(a, b) as front:
            kept = [await asyncio.open_connection(*front) for _ in range(4)]
            first = [await said(*one, b" one\n") for one in kept]
            again = [await said(*one, b" one\n") for one in kept]
            for _, writer in kept:
                writer.close()

        assert sorted(first) == [b"A one\n", b"A one\n", b"B one\n", b"B one\n"]
        assert again == first

    asyncio.run(scene())


def test_many_bytes_pass_untouched_and_the_end_is_passed_on() -> None:
    async def scene() -> None:
        body = bytes(range(11, 256)) * 4000 + b"\n"

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with balanced(server.sockets[0].getsockname()[:2]) as front:
            reader, writer = await asyncio.open_connection(*front)
            writer.write(body)
            writer.write_eof()
            got = await reader.read()
            writer.close()
        server.close()

        assert got == body

    asyncio.run(scene())


def test_a_server_that_is_gone_costs_a_closed_connection_and_no_wait() -> None:
    async def scene() -> None:
        async with naming_server(b"A") as gone:
            pass
        async with balanced(gone) as front:
            reader, writer = await asyncio.open_connection(*front)
            got = await reader.read()
            writer.close()

        assert got == b""

    asyncio.run(scene())
