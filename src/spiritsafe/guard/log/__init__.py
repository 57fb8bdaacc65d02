"""What happens to the gateway's log: written by its workers, joined, compacted, kept for as long as its rule says.

    records    the log's records, to bytes and back
    reading    from a record to the exchange that it tells of
    tail       new records from segments that are being written, first and last record of an exchange joined
    features   one row of facts an exchange, without its text
    parts      rows as Parquet files
    manifest   what a pass of the compactor has done, committed in one file
    compact    segments into Parquet by segment, day, hour and bucket; exactly once, whatever is killed when
    retention  how long and how much is kept of each segment
    redact     personal data and keys taken out of what is kept
    stored     exchanges read back from what was compacted
    imports    other tools' logs into exchanges

A log's folder holds `segments/` (written by the workers), `features/` and `bodies/` (Parquet) and `manifest.json`.
"""
