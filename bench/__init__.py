"""Benches: each prints a bar of the design beside what this machine does."""
