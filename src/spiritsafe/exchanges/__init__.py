"""The record and its stores: record, logprobs (packing), segments (the log), ledger (the index over it), files."""
