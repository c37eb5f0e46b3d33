"""Who looks wrong in their way with secrets, what is to be done about it, and what they have read."""

from resile.secrets.anomaly.memory import AccessMemory
from resile.secrets.anomaly.model import (
    SECRETKEEPER,
    Access,
    Finding,
    Note,
    NoteKind,
    Read,
    Settings,
    Signal,
)
from resile.secrets.anomaly.watch import AccessWatch

__all__ = [
    "SECRETKEEPER",
    "Access",
    "AccessMemory",
    "AccessWatch",
    "Finding",
    "Note",
    "NoteKind",
    "Read",
    "Settings",
    "Signal",
]
