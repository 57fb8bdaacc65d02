"""Numbers only: resample (seeded draws of counted outcomes), intervals (shares, differences, recovered capability)."""
