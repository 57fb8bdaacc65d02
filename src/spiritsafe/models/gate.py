"""Ask for a key before a connection is handed on.

Input: the head of a connection's first request. With the right `Authorization: Bearer` the connection goes to the
balancer, without it the answer is 401 in OpenAI's form. GET /health needs no key: it is asked anew on the client's
behalf, so that nothing a client without the key sent reaches a server.

A connection carries one request: it is passed on with `Connection: close`, so no second one can follow unchecked, and
the gate need not know where a body ends.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from contextlib import suppress

from spiritsafe.models.balancer import BLOCK_BYTES, Balancer

HEAD_S = 30.0
"""How long a client may take over its request's head."""

LINGER_S = 1.0
"""How long a refused client may go on sending: closed earlier, what it sent could cost it the answer."""

END = b"\r\n\r\n"
HEALTH = (b"GET /health ", b"GET /v1/health ")
ASK_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close" + END
OWN = (b"authorization", b"connection")
"""Headers that the gate replaces by its own."""


class Gate:
    """Hands connections that bring `key` on to `balancer`, whose servers in turn ask for `inner_key`."""

    def __init__(self, key: str, balancer: Balancer, inner_key: str) -> None:
        self._key = key.encode()
        self._balancer = balancer
        self._inner_key = inner_key.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; what `asyncio.start_server` calls."""
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(END)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
            return
        if head.startswith(HEALTH):
            await self._balancer.serve(asyncio.StreamReader(), writer, ASK_HEALTH)
        elif complaint := complaint_about(head, self._key):
            await _refuse(reader, writer, complaint)
        else:
            await self._balancer.serve(reader, writer, passed_on(head, self._inner_key))


def complaint_about(head: bytes, key: bytes) -> str:
    """What is wrong with the key that the head of a request brings; empty where it is `key`."""
    sent = [value for name, value in _headers(head) if name == b"authorization"]
    scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer":
        return "no API key came, wanted one header  Authorization: Bearer KEY  with the key of this server"
    if not hmac.compare_digest(token.strip(), key):
        return "the API key that came is not the one of this server; ask whoever runs it"
    return ""


def passed_on(head: bytes, inner_key: bytes) -> bytes:
    """The head as a server behind the gate gets it: with the servers' own key, and for one request."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    kept = [line for line in lines if _name(line) not in OWN]
    return b"\r\n".join([first, *kept, b"Authorization: Bearer " + inner_key, b"Connection: close"]) + END


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    return [(_name(line), line.partition(b":")[2].strip()) for line in head.split(b"\r\n")[1:]]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, complaint: str) -> None:
    """Answer 401 as OpenAI does, and read what the client still sends, so that it gets to read the answer."""
    error = {"message": complaint, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
    body = json.dumps({"error": error}).encode()
    lines = (
        b"HTTP/1.1 401 Unauthorized",
        b"WWW-Authenticate: Bearer",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    )
    try:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                writer.write(b"\r\n".join(lines) + END + body)
                await writer.drain()
                writer.write_eof()
                while await reader.read(BLOCK_BYTES):
                    pass
    finally:
        writer.close()
