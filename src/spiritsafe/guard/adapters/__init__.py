"""For operators who have a gateway already: the same decisions and the same log, from beside it.

decider           accounts, policy, decisions and limits for a process that is no worker of the gateway
decision_service  asked over HTTP about each request: by nginx (auth_request) and Envoy (ext_authz)
litellm_logger    a callback inside LiteLLM's proxy, which sees bodies and so keeps the log too
"""
