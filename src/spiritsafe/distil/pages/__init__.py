"""Pages a run writes: markup (escaping), words (numbers as people read them), report and check (one a page)."""
