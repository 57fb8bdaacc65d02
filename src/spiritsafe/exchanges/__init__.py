"""The record and its stores.

record      what was asked and answered
line        one exchange as one JSON line (rendering, parsing); files, parquet: many of them in a file
logprobs    packing of top-k log-probabilities
segments    the append-only, crash-safe log (frames: its bytes); shared by collector and gateway
ledger      the log with an index by request key (keys, entries, index, lease, lock); commit: many tasks append to it
"""
