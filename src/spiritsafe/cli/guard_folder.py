"""Where the guard's commands look for a gateway's data."""

from pathlib import Path

HERE = Path("guard")
"""The data folder of the guard.toml that `guard init` writes, seen from beside it."""
