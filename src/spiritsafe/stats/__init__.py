"""Numbers only.

- resample (seeded draws of counted outcomes), intervals (shares, differences, recovered capability)
- evalues (calibrate, average, multiply), multiple (e-BH, online e-BH, Holm), sequential (e-processes)
- conformal (accounts ranked in their segment; void where a level cannot be reached), history (an account against its
  past), community (scores of a group), likeness (prompts of a group)
- sketches that merge: fourier (prompt features), coverage (effective rank), sketches (distinct counts); cells
- mmd (kernel two-sample distance, exact and from sketches), windows (the published detector, as a baseline)
- draws, fixed_point: seeded arrays and exact products; these, fourier, coverage, cells, mmd, windows, likeness and
  community import numpy
"""
