"""What playbooks do beside starting and stopping: free ports and locks, make room, explain, roll back, rotate, freeze."""

from resile.daemon.remedies.declarations import Declarations
from resile.daemon.remedies.opening import open_remedies, pruner

__all__ = ["Declarations", "open_remedies", "pruner"]
