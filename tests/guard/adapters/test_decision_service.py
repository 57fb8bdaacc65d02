"""What proxies are told about a request, and that it is what the gateway would do."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import orjson
import pytest
from tests.guard.adapters.deciding import ENFORCED, Deciding, deciding, folder_of, limited, until

from spiritsafe.errors import InputError
from spiritsafe.guard.adapters.decision_service import answering, serve_decisions
from spiritsafe.guard.policy import Evidence
from spiritsafe.guard.policy_file import STARTING_TEXT

CHAT = "/decide/v1/chat/completions"


def known_key(service: Deciding, name: str = "acme", segment: str = "internal") -> str:
    """A key that the service knows by now."""
    key = service.accounts.add(name, segment=segment)
    until(lambda: service.ask(CHAT, key=key).status != 401)
    return key


def test_a_request_that_passes_is_told_whose_it_is_and_what_holds(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path)) as service:
        answer = service.ask(CHAT, key=known_key(service))
    assert answer.status == 200
    assert answer.headers["x-spiritsafe-account"] == "acme"
    assert answer.headers["x-spiritsafe-segment"] == "internal"
    assert answer.headers["x-spiritsafe-action"] == "allow"
    assert answer.headers["x-spiritsafe-decision"] == "none"


def test_a_key_may_come_in_the_header_of_either_format(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path)) as service:
        key = known_key(service)
        assert service.ask(CHAT, **{"x-api-key": key}).status == 200
        assert service.ask(CHAT, key=key, **{"x-api-key": key}).status == 400


@pytest.mark.parametrize(("path", "headers"), [("/v1/messages", {}), ("/v1/models", {"anthropic-version": "x"})])
def test_a_refusal_is_in_the_format_of_who_asked(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    with deciding(folder_of(tmp_path)) as service:
        body = orjson.loads(service.ask(f"/decide{path}", **headers).body)
        other = orjson.loads(service.ask(CHAT).body)
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    assert (other["error"]["type"], other["error"]["code"]) == ("authentication_error", "missing_api_key")


def test_the_limits_are_those_of_the_policy_and_are_told(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path, limited(3))) as service:
        key = known_key(service, segment="ordinary")
        second, third, fourth = (service.ask(CHAT, key=key) for _ in range(3))
        same = service.ask("/decide/v1/messages", key=known_key(service, "other", "ordinary"))
    assert (second.headers["x-ratelimit-remaining-requests"], third.status, fourth.status) == ("1", 200, 429)
    assert 1 <= int(fourth.headers["retry-after"]) <= 120
    assert orjson.loads(fourth.body)["error"]["code"] == "rate_limit_exceeded"
    assert same.headers["anthropic-ratelimit-requests-limit"] == "3"


def test_requests_that_were_let_in_do_not_stay_open_for_ever(tmp_path: Path) -> None:
    policy = ENFORCED.replace("concurrency = 16", "concurrency = 1")
    with deciding(folder_of(tmp_path, policy)) as service:
        key = known_key(service, segment="ordinary")
        assert [service.ask(CHAT, key=key).status for _ in range(5)] == [200] * 5


def test_a_ruling_holds_here_until_it_is_taken_back(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path)) as service:
        key = known_key(service)
        decision = service.rulings.rule("acme", "block", "confirmed", by="jo")
        assert decision is not None
        until(lambda: service.ask(CHAT, key=key).status == 403)
        error = orjson.loads(service.ask(CHAT, key=key).body)["error"]
        service.rulings.rule("acme", "allow", "a mistake", by="jo")
        until(lambda: service.ask(CHAT, key=key).status == 200)
    assert (error["code"], decision.id in error["message"]) == ("account_blocked", True)


def test_in_shadow_what_rules_decide_is_named_and_nothing_comes_of_it(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path, STARTING_TEXT)) as service:
        key = known_key(service, segment="ordinary")
        service.rulings.add_evidence([Evidence("templates", "acme", time.time(), 1e6, ("one template",))])
        [decision] = service.rulings.decisions("acme")
        until(lambda: service.ask(CHAT, key=key).headers["x-spiritsafe-decision"] == decision.id)
        answer = service.ask(CHAT, key=key)
    assert decision.action == "challenge"
    assert (answer.status, answer.headers["x-spiritsafe-action"]) == (200, "allow")


def test_nginx_hears_401_or_403_and_gets_what_was_meant_in_headers(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path, limited(1))) as service:
        key = known_key(service, segment="ordinary")
        none, over = service.ask("/nginx/v1/chat/completions"), service.ask("/nginx/v1/chat/completions", key=key)
        odd = service.ask("/nginx/v1/../admin", key=key)
    assert (none.status, none.headers["x-spiritsafe-status"]) == (401, "401")
    assert (over.status, over.headers["x-spiritsafe-status"]) == (403, "429")
    assert (odd.status, odd.headers["x-spiritsafe-status"]) == (403, "400")
    assert orjson.loads(over.headers["x-spiritsafe-body"])["error"]["code"] == "rate_limit_exceeded"
    assert over.headers["retry-after"].isdecimal()


def test_a_policy_that_is_wrong_changes_nothing_and_is_said_once(tmp_path: Path) -> None:
    settings = folder_of(tmp_path)
    with deciding(settings) as service:
        key = known_key(service)
        Path(settings.policy).write_text("mode = 3", encoding="utf-8")
        until(lambda: len(service.said) == 2)
        assert service.ask(CHAT, key=key).status == 200
        Path(settings.policy).write_text(ENFORCED.replace("throttle = 0.1", "throttle = 0.2"), encoding="utf-8")
        until(lambda: len(service.said) == 3)
    assert "nothing has changed, since" in service.said[1]
    assert service.said[2] == "policy: the new one is in force"


def test_the_operator_can_ask_how_it_is_and_how_often_it_said_what(tmp_path: Path) -> None:
    with deciding(folder_of(tmp_path)) as service:
        service.ask(CHAT)
        assert service.ask("/healthz").status == 200
        assert 'spiritsafe_decided_total{status="401"} 1' in service.ask("/metrics").body.decode()
        assert service.ask("/v1/chat/completions").status == 404


def test_requests_follow_each_other_on_one_connection_also_in_one_piece(tmp_path: Path) -> None:
    request = b"GET /decide/v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    with (
        deciding(folder_of(tmp_path)) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection,
    ):
        connection.sendall(request * 2 + request.replace(b"host", b"connection: close\r\nhost"))
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert received.count(b"HTTP/1.1 401") == 3


@pytest.mark.parametrize("junk", [b"\x16\x03\x01 no http\r\n\r\n", b"GET /decide/v1 HTTP/1.1\r\nx: " + b"y" * 200_000])
def test_what_is_no_request_ends_the_connection_and_nothing_else(tmp_path: Path, junk: bytes) -> None:
    with deciding(folder_of(tmp_path)) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            try:
                connection.sendall(junk)
                assert connection.recv(1 << 16) == b""
            except ConnectionError:
                pass
        assert service.ask("/healthz").status == 200


@pytest.mark.parametrize("address", ["9465", "127.0.0.1:", "127.0.0.1:99999", ":9465"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="wanted HOST:PORT like"):
        serve_decisions(folder_of(tmp_path), address, print)


def test_an_address_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = answering(folder_of(tmp_path), "127.0.0.1", taken.getsockname()[1], print, asyncio.Event())
        with pytest.raises(InputError, match="choose another address"):
            asyncio.run(serving)
