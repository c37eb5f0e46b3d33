"""Experiments: what is normal, what is broken, and what must be normal again afterwards."""
