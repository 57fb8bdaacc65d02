"""Drills: the world that detection is measured in. Who asks a model, from a seed, and what of it was a campaign.

- `scenario`: a world as one TOML file.  `world`: what everybody lives in.  `cast`: everybody who acts, and the key.
- `people/`: classes of customers, one a file; `customers` is their contract.
- `attackers/`: what campaigns ask, how they spread it, what hides them, one a file; and presets of all three.
- `texts/`: what is said.  `dice`, `clock`: draws and times.  `identity`, `persona`, `end_users`: who says it.
- `acting`, `conversation`, `play`: how actors act, and all of them in the order of time.
- `recording`, `logged`, `parts`, `play_log`: what a gateway would have logged of it, written to a folder.
- `enrolment`, `loopback`, `sending`, `run`: the same over HTTP, against a gateway on this machine.
- `key`: the answer key, which lies in a folder of its own.
- `alarms`, `results`, `score`, `score_table`: what alarms were worth, held against it.

Only `sending` opens a connection, and only to a loopback address.
"""
