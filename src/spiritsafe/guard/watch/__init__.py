"""Watch: from exchanges to alarms.

space      where prompts lie: cells, Fourier features, projections; learnt at calibration
reading    what a batch of exchanges adds to sketches
sketches   what is remembered of every account, in columns that merge exactly
accounts   sketches, request detectors and habits of all accounts
shards     accounts shared out over several keepers
cluster    shards on a Ray cluster
shared     accounts of which several machines see a part each
others     the other machines, through Redis
epochs     exchanges by ten minutes of their own time
calibrate  what is ordinary, from a log
reference  what is ordinary, as a file
watch      the alarms of a stream
alarms     what an alarm is
logs       files of exchanges in the order of time
replay     a watch over logs
live       a watch beside a running gateway
beside     the process of it that a gateway starts
"""
