"""Experiments: each module a default configuration and a `main`."""
