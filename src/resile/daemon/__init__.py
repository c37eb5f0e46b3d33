"""The daemon: a guard that owns the processes, and a brain that decides."""
