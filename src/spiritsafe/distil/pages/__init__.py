"""Pages a run writes: markup (escaping), words (numbers as people read them), report (the sections of report.html)."""
