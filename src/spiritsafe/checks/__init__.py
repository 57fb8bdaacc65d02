"""Promises as functions, one file a kind of extension: dialect, model, loss, curator. Each raises AssertionError."""
