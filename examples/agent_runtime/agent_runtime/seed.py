"""Make the data folder on the first start: policy database and knowledge base.

Safe to call from several processes at once: each piece is made aside and then put into place by
one system call, so that it is there whole or not at all. What exists is never touched.
"""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from agent_runtime.settings import HOME, Settings, from_environment

SEED = HOME / "seed"


def prepare(settings: Settings) -> None:
    """Make what is missing in the data folder."""
    files = (
        settings.scanner_socket,
        settings.policy_db,
        settings.logins,
        settings.outbox,
        settings.reports,
    )
    for folder in (settings.data, settings.runs, *(file.parent for file in files)):
        folder.mkdir(parents=True, exist_ok=True)
    if settings.policy_db.exists() and settings.knowledge.exists():
        return
    with tempfile.TemporaryDirectory(dir=settings.data, prefix="seeding-") as aside:
        _seed_policy(settings.policy_db, Path(aside) / "policy.db")
        _seed_knowledge(settings.knowledge, Path(aside) / "knowledge")


def _seed_policy(target: Path, aside: Path) -> None:
    with closing(sqlite3.connect(aside)) as connection:
        connection.executescript((SEED / "policy.sql").read_text())
    with suppress(FileExistsError):
        os.link(aside, target)


def _seed_knowledge(target: Path, aside: Path) -> None:
    shutil.copytree(SEED / "knowledge", aside)
    with suppress(OSError):  # Somebody else was quicker: a rename onto a full folder is refused.
        aside.rename(target)


if __name__ == "__main__":
    prepare(from_environment())
