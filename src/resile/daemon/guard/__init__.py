"""The process that owns the services' processes."""

from resile.daemon.guard.guard import Guard

__all__ = ["Guard"]
