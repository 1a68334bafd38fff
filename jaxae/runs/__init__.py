"""A run: its directory, its checkpoints, the trained network, the scores of its test, its figures."""
