"""Adapters: a run's held-out items as tasks of other evaluation tools, judged by the same verifier.

- `items`: what both have in common: the items as a student sees them, and judging one.
- `lm_eval_task`: a task folder for lm-evaluation-harness (extra `lm-eval`).
- `inspect_task`: a task for Inspect (extra `inspect`).
"""
