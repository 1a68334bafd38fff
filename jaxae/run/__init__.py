"""A trained run: its directory, its checkpoints, its restored network, what a test says of it, its figures."""
