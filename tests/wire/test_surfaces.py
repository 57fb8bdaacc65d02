import orjson
import pytest

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Message, Usage
from spiritsafe.wire.folding import Fold
from spiritsafe.wire.surfaces import SURFACES, Surface, surface_of


@pytest.mark.parametrize(
    ("method", "path", "anthropic", "name"),
    [
        (b"POST", b"/chat/completions", False, "chat"),
        (b"POST", b"/completions", False, "completions"),
        (b"POST", b"/responses", False, "responses"),
        (b"POST", b"/embeddings", False, "embeddings"),
        (b"POST", b"/messages", True, "messages"),
        (b"POST", b"/messages", False, "messages"),
        (b"POST", b"/messages/count_tokens", True, "count_tokens"),
        (b"GET", b"/models", False, "models"),
        (b"GET", b"/models/gpt-5", False, "model"),
        (b"GET", b"/models/meta-llama/Llama-3", False, "model"),
        (b"POST", b"/chat/completions", True, "chat"),
    ],
)
def test_a_path_is_a_surface(method: bytes, path: bytes, anthropic: bool, name: str) -> None:
    found = surface_of(method, path, anthropic=anthropic)

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"GET", b"/chat/completions"),
        (b"POST", b"/models"),
        (b"POST", b"/models/x"),
        (b"GET", b"/models/"),
        (b"GET", b"/modelsx"),
        (b"POST", b"/chat/completions/"),
        (b"POST", b"/v1/chat/completions"),
        (b"GET", b""),
    ],
)
@pytest.mark.parametrize("anthropic", [True, False])
def test_everything_else_is_none(method: bytes, path: bytes, anthropic: bool) -> None:
    assert surface_of(method, path, anthropic=anthropic) is None


@pytest.mark.parametrize("path", [b"/models", b"/models/x"])
def test_the_header_decides_whose_models_are_listed(path: bytes) -> None:
    found = {anthropic: surface_of(b"GET", path, anthropic=anthropic) for anthropic in (True, False)}

    assert {anthropic: one.api for anthropic, one in found.items() if one} == {True: "anthropic", False: "openai"}


@pytest.mark.parametrize("surface", SURFACES, ids=lambda one: f"{one.api}-{one.name}")
def test_what_is_asked_with_a_body_is_read_and_what_streams_is_folded(surface: Surface) -> None:
    assert (surface.reader is None) == (surface.method == "GET")
    if surface.fold is not None:
        fold: Fold = surface.fold()
        fold.feed(b"data: {}\n\n")
        assert isinstance(orjson.loads(fold.body()), dict)
        assert (fold.finished, fold.unreadable, fold.usage()) == (False, 1, Usage())


def test_surfaces_are_told_apart_by_name_and_api() -> None:
    assert len({(one.api, one.name) for one in SURFACES}) == len({(one.api, one.method, one.path) for one in SURFACES})
    assert len({(one.api, one.name) for one in SURFACES}) == len(SURFACES)


def test_a_count_of_tokens_is_read() -> None:
    surface = surface_of(b"POST", b"/messages/count_tokens", anthropic=True)
    assert surface is not None
    assert surface.reader is not None
    _, request = surface.reader.read(b'{"model": "m", "system": "s", "messages": [{"role": "user", "content": "x"}]}')

    assert request.messages == (Message("system", "s"), Message("user", "x"))
    assert surface.reader.parse(b'{"input_tokens": 14}').usage == Usage(14)
    with pytest.raises(UpstreamError, match="wanted a count"):
        surface.reader.parse(b"{}")
