"""Guard: who is distilling my model, and how do I stop them without hurting honest customers?

- `keys`: customers' API keys: made, recognised, and kept only as keyed hashes. Pure.
- `accounts`: accounts, their keys and their segments.
- `limits`: what an account may ask for in a minute and in a day, over several workers. Pure.
- `hygiene`, `reasoning`, `thinking`: what never leaves, whoever asks. Pure.
- `handles`: opaque reasoning handles, bound to whom they were issued to. Pure.
- `policy`: evidence, segment and ruling in, a decision out. Pure. `policy_file`: policy.toml.
- `rulings`: policies, evidence, rulings and decisions, kept; `database`: the SQLite file of it all.
- `settings`, `settings_file`: guard.toml.
- `gateway/`: the data plane.  `log/`: what becomes of its log.  `adapters/`: for gateways that are there already.
"""
