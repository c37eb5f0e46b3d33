"""Snapshots become folders again: beside, in parts, or in place of what is there."""

from resile.store.restore.inplace import InPlaceRestore, restore_in_place
from resile.store.restore.model import Problem, Reader, RestoreReport
from resile.store.restore.recovering import Leftover, recover
from resile.store.restore.restoring import restore_to

__all__ = [
    "InPlaceRestore",
    "Leftover",
    "Problem",
    "Reader",
    "RestoreReport",
    "recover",
    "restore_in_place",
    "restore_to",
]
