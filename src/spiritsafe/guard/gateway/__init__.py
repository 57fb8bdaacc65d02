"""The gateway's data plane: bytes between customers and upstreams, each exchange checked, decided and logged once.

heads      what a request's head must be; whatever could be read in two ways is refused. Pure.
bodies     what a request's body must be. Pure.
answers    the bytes of HTTP heads and of refusals. Pure.
customer   one customer's connection (asyncio protocol)
upstream   one connection to an upstream, and the pool of them (asyncio protocol)
flow       one request from its last byte to its durable record
pump       the answer on its way: passed on, edited, held back, put together again for the log
journal    the log of one worker, committed in groups
gate       whose key it is, what is decided about its account, whether there is room
following  brings changes of accounts, policy and decisions into a gate
sharing    several gateways that act as one, through Redis
tables     the tables in Redis (extra: redis)
replica    accounts, evidence and rulings of other machines in this one's file
shared_account  two versions of an account in one. Pure.
elsewhere  what other machines have used, in a worker's meter
desk       what a worker knows: the gate, and routes, journal, numbers
counters   numbers for /metrics, shared by the workers
worker     one process of the data plane
watching   the watch beside the workers, as the supervisor sees it
supervisor the process that starts the workers and watches over them
"""
