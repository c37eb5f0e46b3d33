"""The process that takes, scrubs, replicates and mends snapshots by itself, beside the brain.

It is one of its own so that neither the brain's loop nor a service feels it.
"""

from resile.daemon.storekeeper.keeper import Keeper

__all__ = ["Keeper"]
