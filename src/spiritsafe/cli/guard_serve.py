"""`spiritsafe guard serve|decide|init`: the gateway itself, and its decisions for another one."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from spiritsafe.errors import InputError, shown

POLICY = "policy.toml"


def serve(settings: Path = Path("guard.toml")) -> None:
    """Stand in front of the upstreams that a guard.toml names, until stopped.

    Parameters
    ----------
    settings:
        The guard.toml; `spiritsafe guard init` writes one.
    """
    from spiritsafe.guard.gateway.supervisor import started
    from spiritsafe.guard.settings_file import read_settings

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with started(read_settings(settings), say=_tell) as gateway:
            print(f"guard at {gateway.url}/v1  (operations at {gateway.ops_url}; interrupt to stop)", flush=True)
            gateway.watch()
    except KeyboardInterrupt:
        return


def decide(settings: Path = Path("guard.toml"), *, address: str = "127.0.0.1:9465") -> None:
    """Decide for a gateway that you have already: nginx (auth_request) or Envoy (ext_authz) asks, until stopped.

    Parameters
    ----------
    settings:
        The guard.toml, for its data folder and policy.
    address:
        Where to answer; nobody but the proxy may reach it.
    """
    from spiritsafe.guard.adapters.decision_service import serve_decisions
    from spiritsafe.guard.settings_file import read_settings

    serve_decisions(read_settings(settings), address, _tell)


def init(folder: Path = Path()) -> None:
    """Write a guard.toml and a policy.toml that work at once, with comments.

    Parameters
    ----------
    folder:
        Where to.
    """
    from spiritsafe.guard.policy_file import STARTING_TEXT as POLICY_TEXT
    from spiritsafe.guard.settings_file import STARTING_TEXT as GUARD_TEXT

    texts = {folder / "guard.toml": GUARD_TEXT, folder / POLICY: POLICY_TEXT}
    for path in texts:
        if path.exists():
            raise InputError(f"{shown(str(path))} is there already; move it away, or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    print(f"next: spiritsafe guard accounts add NAME --folder {folder / 'guard'}")
    print(f"then: spiritsafe guard serve {folder / 'guard.toml'}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
