"""Spirit Safe: what flows out of a language model through its API."""

__version__ = "0.1.0"
