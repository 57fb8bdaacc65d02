from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drills.loopback import Loopback, loopback
from spiritsafe.errors import InputError


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8100", "http://127.0.0.1:8100/v1"),
        ("http://127.0.0.1:8100/", "http://127.0.0.1:8100/v1"),
        ("http://127.8.9.1:81/v1", "http://127.8.9.1:81/v1"),
        ("http://[::1]:8100/v1/", "http://[::1]:8100/v1"),
    ],
)
def test_addresses_of_this_machine_are_taken(url: str, base: str) -> None:
    assert loopback(url).base_url == base


def test_localhost_is_resolved_here_and_then_fixed() -> None:
    assert ip_address(loopback("http://localhost:8100").host).is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com:80",
        "https://127.0.0.1:8100",
        "http://127.0.0.1",
        "http://0.0.0.0:8100",
        "http://10.0.0.1:8100",
        "http://127.0.0.1:80@evil.example:80",
        "http://127.0.0.1.evil.example:80",
        "http://localhost.evil.example:80",
        "http://evil.example:80/127.0.0.1",
        "http://127.0.0.1:8100\\@evil.example:80",
        "http://127.0.0.1:8100/v1/../elsewhere",
        "http://127.0.0.1:99999",
        "http://[::ffff:8.8.8.8]:80",
        "http://2130706433:80",
        "http://[::1:80",
        "//127.0.0.1:80",
        "127.0.0.1:80",
        "",
    ],
)
def test_anything_else_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(InputError, match="your own gateway only") as caught:
        loopback(url)
    assert "\n" not in str(caught.value)


@given(st.ip_addresses())
def test_no_other_number_can_become_a_gateway(address: IPv4Address | IPv6Address) -> None:
    if address.is_loopback:
        assert Loopback(str(address), 80).host == str(address)
    else:
        with pytest.raises(InputError):
            Loopback(str(address), 80)
