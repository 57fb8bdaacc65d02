"""Guard: who is distilling my model, and how do I stop them without hurting honest customers?

- `keys`: customers' API keys: made, recognised, and kept only as keyed hashes. Pure.
- `accounts`: accounts, their keys and their segments in SQLite.
"""
