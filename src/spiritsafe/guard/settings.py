"""Settings of a gateway: what guard.toml says, checked, as plain values that its processes hand to one another.

No pydantic here: a worker reads them from JSON and stays small. `guard.settings_file` reads and checks the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import orjson

Api = Literal["openai", "anthropic"]
Durability = Literal["interval", "strict"]


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """A model's API that stands behind the gateway.

    Attributes:
        name: what the log calls it.
        api: whose format it speaks.
        url: its base, ending where "/chat/completions" or "/messages" follows; empty while an embedded model starts.
        embedded: the embedded model that is started with the gateway; empty where `url` says where it is.
        key_env: the environment variable with the operator's key there; empty where none is needed.
        models: patterns of the model names it is asked for.
        most_connections: at once, from one worker.
        thinks_first: whether its models' answers begin inside thinking, without a tag that opens it.
        input_dollars, output_dollars: a million tokens; None where unknown.
    """

    name: str
    api: Api
    url: str
    embedded: str = ""
    key_env: str = ""
    models: tuple[str, ...] = ("*",)
    most_connections: int = 4096
    thinks_first: bool = False
    input_dollars: float | None = None
    output_dollars: float | None = None

    def serves(self, api: str, model: str) -> bool:
        """Whether it is the one for `model` in the format `api`."""
        return self.api == api and any(fnmatchcase(model, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How exchanges are kept.

    Attributes:
        durability: "strict": the last bytes of an answer leave when its record is on disk; "interval": they leave at
            once and the record follows.
        interval_ms: how long a record waits for others.
        roll_mb: a segment of so many megabytes is followed by a new one.
        most_waiting_mb: what may wait in memory while the disk takes nothing.
        compact_s: seconds between two compactions; 0 for none.
        buckets: files an hour, each with some of the accounts.
    """

    durability: Durability = "interval"
    interval_ms: float = 10.0
    roll_mb: int = 64
    most_waiting_mb: int = 64
    compact_s: float = 60.0
    buckets: int = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may take.

    Attributes:
        body_mb: of a request.
        answer_mb: of an answer that is logged or edited whole; a longer one passes, and the log says it was cut.
        head_s: seconds for a request's head.
        body_s: seconds for its body.
        idle_s: seconds that a connection without a request is kept.
        connect_s: seconds to reach an upstream.
        first_byte_s: seconds until an upstream begins to answer.
        stall_s: seconds without a byte in either direction, once it has begun.
        drain_s: seconds that answers get to finish when the gateway is stopped.
        connections: customers' connections at once, a worker.
    """

    body_mb: float = 32.0
    answer_mb: float = 32.0
    head_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    connect_s: float = 5.0
    first_byte_s: float = 600.0
    stall_s: float = 120.0
    drain_s: float = 30.0
    connections: int = 8192


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where facts about the customer's own client come from.

    Attributes:
        proxies: addresses of proxies in front, whose headers are believed.
        headers: header name to the fact it gives, believed from those proxies only.
    """

    proxies: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What looks for campaigns and strange accounts in the log, beside the workers.

    Attributes:
        reference: the path of what is ordinary; empty where nothing watches.
        request, account: the chance that an honest account ever raises such an alarm within the reference's time.
        campaign: the false discovery rate among reported campaigns.
        account_fdr: the false discovery rate among reported accounts; None: each is reported by its own level.
    """

    reference: str = ""
    request: float = 0.001
    account: float = 0.001
    campaign: float = 0.01
    account_fdr: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All of guard.toml.

    Attributes:
        host, port: where customers connect; port 0 takes a free one.
        ops_host, ops_port: where /healthz, /readyz and /metrics are; port 0 takes a free one.
        workers: processes that serve, one core each.
        data: the folder of accounts, policy history and log.
        policy: the path of policy.toml.
        upstreams: what stands behind, asked in this order.
        watch: what watches over the log.
        certificate, private_key: paths of PEM files, for TLS; empty for plain HTTP.
        summarise: "module:function" that makes a summary of thinking, for segments where it is summarised; else "".
        redis_url: where several gateways share limits and decisions; empty for one alone.
    """

    host: str
    port: int
    ops_host: str
    ops_port: int
    workers: int
    data: str
    policy: str
    upstreams: tuple[UpstreamSettings, ...]
    log: LogSettings = LogSettings()
    bounds: Bounds = Bounds()
    client: ClientSettings = field(default_factory=ClientSettings)
    watch: WatchSettings = WatchSettings()
    certificate: str = ""
    private_key: str = ""
    summarise: str = ""
    redis_url: str = ""

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)


def settings_to_json(settings: Settings) -> bytes:
    """`settings` as JSON; holds no secret, since keys are named by their variables."""
    return orjson.dumps(asdict(settings))


def settings_from_json(data: bytes) -> Settings:
    """What `settings_to_json` wrote."""
    raw: dict[str, Any] = orjson.loads(data)
    raw["upstreams"] = tuple(
        UpstreamSettings(**{**upstream, "models": tuple(upstream["models"])}) for upstream in raw["upstreams"]
    )
    raw["log"] = LogSettings(**raw["log"])
    raw["bounds"] = Bounds(**raw["bounds"])
    raw["client"] = ClientSettings(tuple(raw["client"]["proxies"]), raw["client"]["headers"])
    raw["watch"] = WatchSettings(**raw["watch"])
    return Settings(**raw)
