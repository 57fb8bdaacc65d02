"""guard.toml: read and checked, and a first one to start from.

Paths are taken from the file's own folder. The file holds no secret: keys are named by their environment variables.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spiritsafe.errors import InputError, shown
from spiritsafe.guard.settings import (
    Api,
    Bounds,
    ClientSettings,
    Durability,
    LogSettings,
    Settings,
    UpstreamSettings,
    WatchSettings,
)
from spiritsafe.toml_file import first_problem, read_toml

Positive = Annotated[float, Field(gt=0)]
Price = Annotated[float, Field(ge=0)]
Level = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A table of the file: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(Section):
    """`[listen]`: where customers connect."""

    address: str = "127.0.0.1:8080"
    workers: int = Field(default=1, ge=1, le=256)
    certificate: str = ""
    private_key: str = ""

    @model_validator(mode="after")
    def _both_or_none(self) -> Listen:
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("TLS needs both certificate and private_key; give both or none")
        return self


class Ops(Section):
    """`[ops]`: where health and metrics are."""

    address: str = "127.0.0.1:9464"


class Data(Section):
    """`[data]`: what is kept, and the contracts."""

    folder: str = "guard"
    policy: str = "policy.toml"


class Upstream(Section):
    """`[[upstream]]`: a model's API that stands behind."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    api: Api = "openai"
    url: str = ""
    embedded: str = ""
    key_env: str = ""
    models: list[str] = Field(default=["*"], min_length=1)
    most_connections: int = Field(default=4096, ge=1)
    thinks_first: bool = False
    input_dollars: Price | None = None
    output_dollars: Price | None = None

    @field_validator("url")
    @classmethod
    def _is_base(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("wanted an http or https address like https://api.openai.com/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("wanted an address without a user or password; name the key's variable in key_env")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_place(self) -> Upstream:
        if bool(self.url) == bool(self.embedded):
            raise ValueError("wanted either url or embedded; give one of them")
        return self


class Log(Section):
    """`[log]`: how exchanges are kept."""

    durability: Durability = "interval"
    interval_ms: float = Field(default=10.0, ge=0, le=1000)
    roll_mb: int = Field(default=64, ge=1, le=4096)
    most_waiting_mb: int = Field(default=64, ge=1)
    compact_s: float = Field(default=60.0, ge=0)
    buckets: int = Field(default=8, ge=1, le=1024)


class BoundsTable(Section):
    """`[bounds]`: what one request may take."""

    body_mb: Positive = 32.0
    answer_mb: Positive = 32.0
    head_s: Positive = 10.0
    body_s: Positive = 60.0
    idle_s: Positive = 75.0
    connect_s: Positive = 5.0
    first_byte_s: Positive = 600.0
    stall_s: Positive = 120.0
    drain_s: Positive = 30.0
    connections: int = Field(default=8192, ge=1)


class Reasoning(Section):
    """`[reasoning]`: how thinking is summarised."""

    summarise: str = Field(default="", pattern=r"^$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class Client(Section):
    """`[client]`: facts that a proxy in front passes in headers."""

    proxies: list[str] = []
    headers: dict[str, str] = {}


class Watch(Section):
    """`[watch]`: what looks for campaigns and strange accounts."""

    reference: str = Field(min_length=1)
    request: Level = 0.001
    account: Level = 0.001
    campaign: Level = 0.01
    account_fdr: Level | None = None


class File(Section):
    """All of guard.toml."""

    listen: Listen = Listen()
    ops: Ops = Ops()
    data: Data = Data()
    upstream: list[Upstream] = Field(min_length=1)
    log: Log = Log()
    bounds: BoundsTable = BoundsTable()
    reasoning: Reasoning = Reasoning()
    client: Client = Client()
    watch: Watch | None = None
    redis_url: str = ""

    @field_validator("upstream")
    @classmethod
    def _names_differ(cls, upstreams: list[Upstream]) -> list[Upstream]:
        names = [upstream.name for upstream in upstreams]
        if len(set(names)) < len(names):
            raise ValueError("two upstreams have the same name; give each its own")
        return upstreams


SECTIONS = (File, Listen, Ops, Data, Upstream, Log, BoundsTable, Reasoning, Client, Watch)


def read_settings(path: Path) -> Settings:
    """What the guard.toml at `path` says.

    Raises:
        InputError: it cannot be read or is wrong; the message names the first problem.
    """
    raw = read_toml(path, "guard file")
    try:
        file = File.model_validate(raw)
        settings = _settings(file, path.parent)
    except ValidationError as error:
        names = {name for section in SECTIONS for name in section.model_fields}
        raise InputError(f"guard file {shown(str(path))}: {first_problem(error, names)}") from None
    except ValueError as error:
        raise InputError(f"guard file {shown(str(path))}: {error}") from None
    return settings


def _settings(file: File, folder: Path) -> Settings:
    host, port = _address(file.listen.address, "listen.address")
    ops_host, ops_port = _address(file.ops.address, "ops.address")
    return Settings(
        host=host,
        port=port,
        ops_host=ops_host,
        ops_port=ops_port,
        workers=file.listen.workers,
        data=str(folder / file.data.folder),
        policy=str(folder / file.data.policy),
        upstreams=tuple(_upstream(upstream) for upstream in file.upstream),
        log=LogSettings(**file.log.model_dump()),
        bounds=Bounds(**file.bounds.model_dump()),
        client=ClientSettings(
            tuple(file.client.proxies), {name.lower(): fact for name, fact in file.client.headers.items()}
        ),
        watch=_watch(file.watch, folder),
        certificate=_path(folder, file.listen.certificate),
        private_key=_path(folder, file.listen.private_key),
        summarise=file.reasoning.summarise,
        redis_url=file.redis_url,
    )


def _upstream(upstream: Upstream) -> UpstreamSettings:
    fields: dict[str, Any] = upstream.model_dump()
    return UpstreamSettings(**{**fields, "models": tuple(upstream.models)})


def _watch(watch: Watch | None, folder: Path) -> WatchSettings:
    if watch is None:
        return WatchSettings()
    return WatchSettings(**{**watch.model_dump(), "reference": str(folder / watch.reference)})


def _path(folder: Path, name: str) -> str:
    return str(folder / name) if name else ""


def _address(text: str, field: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"field '{field}': got {shown(text)}, wanted HOST:PORT like 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def with_urls(settings: Settings, urls: dict[str, str]) -> Settings:
    """`settings` where the upstreams named in `urls` are at these addresses."""
    upstreams = [replace(one, url=urls.get(one.name, one.url)) for one in settings.upstreams]
    return replace(settings, upstreams=tuple(upstreams))


STARTING_TEXT = """\
# The locked box in front of a model. Customers change their base URL to this gateway and their key to one from
#   spiritsafe guard accounts add NAME
# Start it with  spiritsafe guard serve guard.toml . Limits, hygiene and decisions are in policy.toml.

[listen]
address = "127.0.0.1:8080"
workers = 1                      # one process a core
# certificate = "cert.pem"       # for TLS; a proxy in front can do it as well
# private_key = "key.pem"

[ops]
address = "127.0.0.1:9464"       # /healthz, /readyz, /metrics; keep it from the outside

[data]
folder = "guard"                 # accounts, log, history of the policy
policy = "policy.toml"

# What stands behind, asked in this order: the first whose `api` and `models` fit a request answers it.
[[upstream]]
name = "teacher"
api = "openai"                   # the format it speaks: "openai" or "anthropic"; nothing is ever translated
embedded = "smollm2-135m"        # a small model that starts with the gateway and needs no key
models = ["*"]

# [[upstream]]
# name = "openai"
# api = "openai"
# url = "https://api.openai.com/v1"
# key_env = "OPENAI_API_KEY"     # the variable with your own key; customers never see it
# models = ["gpt-*"]
# input_dollars = 2.5            # a million tokens; dollars_per_day counts with them
# output_dollars = 10.0

# [[upstream]]
# name = "anthropic"
# api = "anthropic"
# url = "https://api.anthropic.com/v1"
# key_env = "ANTHROPIC_API_KEY"
# models = ["claude-*"]

[log]
durability = "interval"          # "strict": the end of an answer leaves when its record is on disk
interval_ms = 10                 # at most so much is lost with the machine
compact_s = 60                   # how often the log becomes Parquet (extra: parquet); 0 for never

[bounds]
body_mb = 32                     # of a request
first_byte_s = 600               # until a model begins to answer
stall_s = 120                    # without a byte, once it has begun
drain_s = 30                     # for answers to finish when the gateway is stopped

# Makes a summary of thinking for segments whose reasoning is "summarised": a Python function from text to text.
# [reasoning]
# summarise = "my_module:summary"

# Facts that a proxy in front has found, believed from these addresses only: header = fact.
# [client]
# proxies = ["127.0.0.1"]
# headers = { x-real-ip = "ip", x-ja4 = "ja4" }

# Looks for campaigns of accounts, and for strange ones, beside the workers (extra: detect). What is ordinary it takes
# from a reference, made of your own log:
#   spiritsafe guard log export ordinary.jsonl --folder guard
#   spiritsafe guard calibrate ordinary.jsonl --out reference
# [watch]
# reference = "reference"
# request = 0.001                # chance that an honest account ever raises an alarm about one of its requests
# account = 0.001                # the same about itself
# campaign = 0.01                # share of false ones among reported campaigns

# Several gateways that share limits and decisions.
# redis_url = "redis://127.0.0.1:6379/0"
"""
