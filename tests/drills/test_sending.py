"""What goes over the wire: every account its own key and format, read back by a server that knows all three."""

import asyncio
from pathlib import Path

import orjson
import pytest
from tests.drills.conftest import scenario

from spiritsafe.drills.acting import Ask, Wanted
from spiritsafe.drills.enrolment import members, read_keys, write_keys
from spiritsafe.drills.loopback import Loopback
from spiritsafe.drills.persona import DIALECTS as SPOKEN
from spiritsafe.drills.sending import Sender, Sent
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Sampling
from spiritsafe.models.replies import Asked, Reply, served_in_thread
from spiritsafe.wire import DIALECTS
from spiritsafe.wire.base import Answer

CLIENT = {"ip": "10.1.2.3", "asn": "AS64512", "ja4": "t13d_x", "user_agent": "curl/8.1.1", "country": "SG"}
PLAIN, STREAMING = "acct-00000000000000a2", "acct-00000000000000a3"
KEYS = {PLAIN: "ss-plain", STREAMING: "ss-streaming"}


def ask(dialect: str, account: str = PLAIN) -> Ask:
    messages = (Message("system", "Be brief."), Message("user", "What is a still?"))
    return Ask(account, "ordinary", dialect, CLIENT, "large-1", messages, Sampling(max_tokens=50), Wanted(), "north")


def sent(port: int, wanted: Ask, *, dialect: str = "") -> Sent:
    async def sending() -> Sent:
        async with Sender(Loopback("127.0.0.1", port), KEYS, dialect=dialect) as sender:
            return await sender.send(wanted)

    return asyncio.run(sending())


def answers(got: Asked) -> Reply:
    """An answer in the format of the path that was asked."""
    format_ = next(one for one in DIALECTS if got.path == f"/v1{one.path}")
    return Reply(format_.write("large-1", Answer("A pot.")))


@pytest.mark.parametrize("dialect", SPOKEN)
def test_each_format_is_the_official_one_with_the_accounts_own_key(dialect: str) -> None:
    with served_in_thread(answers) as server:
        assert sent(server.port, ask(dialect)) == Sent(200, "A pot.")
        (got,) = server.asked
    model, request = DIALECTS.get(dialect).read(got.body)
    key = got.headers["x-api-key"] if dialect == "anthropic" else got.headers["authorization"].removeprefix("Bearer ")

    assert (model, [turn.content for turn in request.messages]) == ("large-1", ["Be brief.", "What is a still?"])
    assert key == "ss-plain"
    assert got.headers["user-agent"] == "curl/8.1.1"
    assert {name: got.headers[name] for name in ("x-real-ip", "x-asn", "x-ja4")} == {
        "x-real-ip": "10.1.2.3",
        "x-asn": "AS64512",
        "x-ja4": "t13d_x",
    }
    assert b"north" not in got.body
    assert "north" not in str(got.headers)


def test_all_can_be_made_to_speak_one_format() -> None:
    with served_in_thread(answers) as server:
        sent(server.port, ask("responses"), dialect="chat")
        assert server.asked[0].path == "/v1/chat/completions"


def test_a_stream_is_asked_for_and_put_together_again() -> None:
    pieces = ("A ", "pot", ".")
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    stream = b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in events) + b"data: [DONE]\n\n"

    def streaming(got: Asked) -> Reply:
        assert orjson.loads(got.body)["stream"] is True
        return Reply(stream, headers={"content-type": "text/event-stream"})

    with served_in_thread(streaming) as server:
        assert sent(server.port, ask("chat", STREAMING)) == Sent(200, "A pot.")


@pytest.mark.parametrize(("status", "fault"), [(401, "auth"), (429, "rate_limited"), (500, "server")])
def test_a_refusal_is_its_status(status: int, fault: str) -> None:
    with served_in_thread(lambda got: Reply(b'{"error":{"message":"no"}}', status)) as server:
        assert sent(server.port, ask("chat")) == Sent(status, "", fault)


def test_an_answer_that_cannot_be_read_is_told_apart() -> None:
    with served_in_thread(lambda got: Reply(b"<html>")) as server:
        assert sent(server.port, ask("chat")) == Sent(200, "", "malformed")


def test_nobody_there_is_an_error_and_so_is_a_missing_key() -> None:
    with served_in_thread(answers) as server:
        port = server.port
        with pytest.raises(InputError, match="no key for account"):
            sent(port, ask("chat", "acct-00000000000000b0"))
    with pytest.raises(UpstreamError, match="cannot reach"):
        sent(port, ask("chat"))


def test_members_are_in_the_order_of_their_names_with_what_they_told() -> None:
    campaign = {"name": "a", "preset": "failover", "scale": 0.01}
    wanted = scenario(people={"ordinary": 5, "licensed": 1}, campaign=[campaign])
    found = list(members(wanted))

    assert [one.account for one in found] == sorted(one.account for one in found)
    assert len(found) == 6 + 8, "the reserve has accounts too"
    assert all(set(one.facts) == {"org", "payment", "email_domain", "country"} for one in found)
    assert {one.segment for one in found} == {"ordinary", "licensed"}


def test_keys_survive_their_file_and_are_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    write_keys(path, KEYS.items())

    assert read_keys(path) == KEYS
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("line", ["{", "[]", '{"account":"a"}', '{"account":"a","key":7}'])
def test_a_bad_line_of_keys_is_named_and_never_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text(f'{{"account":"a","key":"ss-secret"}}\n{line}')

    with pytest.raises(InputError, match=r"keys\.jsonl:2: wanted") as caught:
        read_keys(path)
    assert "ss-secret" not in str(caught.value)
