"""Opens what watches over accesses, with what is declared of it."""

from pathlib import Path

from resile.daemon.secretkeeper.model import Plan
from resile.secrets.anomaly import AccessMemory, AccessWatch, Settings

FILE_NAME = "access.db"


def open_watch(folder: Path, plan: Plan) -> AccessWatch:
    """Open it, with what it has learnt.

    Raises:
        SecretError: If its file can be neither opened nor made.
    """
    settings = Settings(
        learn_s=plan.settings["guard"]["learn"],
        canaries=frozenset(one.name for one in plan.secrets.values() if one.is_canary),
    )
    return AccessWatch(AccessMemory(folder / FILE_NAME), settings)
