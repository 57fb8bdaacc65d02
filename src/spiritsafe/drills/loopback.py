"""A gateway's address on this machine: the only kind of address that a drill can be played against.

Whoever sends takes a `Loopback`, and there is no way to make one of another machine's address: the text that a person
types is taken apart here, and what is sent to is put together anew from a number and a port.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from spiritsafe.errors import InputError, shown

_ADVICE = "a drill is played against your own gateway only: give its loopback address, e.g. http://127.0.0.1:8100"


@dataclass(frozen=True, slots=True)
class Loopback:
    """A port of this machine.

    Attributes:
        host: an address of the loopback network, as a number.
        port: from 1 to 65,535.

    Raises:
        InputError: the host is no such number.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not _is_loopback(self.host):
            raise InputError(f"got host {shown(self.host)}, wanted one of this machine; {_ADVICE}")

    @property
    def base_url(self) -> str:
        """What the paths of all API formats are appended to."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/v1"


def loopback(url: str) -> Loopback:
    """The address in `url`, which is `http://HOST:PORT`, with or without `/v1`.

    Raises:
        InputError: it is no such address, or its host is not this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError(f"got gateway {shown(url)}, wanted an address; {_ADVICE}") from None
    if parts.scheme != "http" or port is None or parts.path.rstrip("/") not in ("", "/v1"):
        raise InputError(f"got gateway {shown(url)}, wanted http://HOST:PORT; {_ADVICE}")
    return Loopback(_localhost(port) if host == "localhost" else host, port)


def _localhost(port: int) -> str:
    """What the name `localhost` stands for here; resolved once, so that it cannot come to mean something else."""
    try:
        found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"cannot resolve 'localhost' ({error.strerror}); give a number, e.g. 127.0.0.1") from None
    # gateways listen on 127.0.0.1 unless told otherwise
    return str(sorted((family != socket.AF_INET, address[0]) for family, _, _, _, address in found)[0][1])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
