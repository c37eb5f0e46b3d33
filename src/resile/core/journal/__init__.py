"""Placeholder of the package; filled as the part is built."""
