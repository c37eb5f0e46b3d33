"""A TCP proxy that spoils what passes through it; a process of its own, see `resile.chaos.carrier`."""
