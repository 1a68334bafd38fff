"""Measurements: `python -m benchmarks.throughput` and others, from the top folder; README.md has the tables."""
