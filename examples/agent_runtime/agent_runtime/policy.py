"""Ask the policy database which agents may run what, and for how long."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

LOCK_TIMEOUT_S = 1.0


class PolicyUnavailableError(Exception):
    """The policy database cannot be read; nothing may run until it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the policy says.

    Args:
        is_allowed: Whether the agent may run this language.
        reason: Why not; empty if it may.
        run_s_max: How long its scripts may run.
    """

    is_allowed: bool
    reason: str = ""
    run_s_max: float = 0.0


class PolicyDatabase:
    """A SQLite file, opened read-only for each question. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, agent: str, language: str) -> Verdict:
        """Tell whether an agent may run a script in a language.

        Raises:
            PolicyUnavailableError: If the database cannot be read.
        """
        known = self._select("SELECT 1 FROM agent WHERE name = ?", agent)
        if known is None:
            return Verdict(is_allowed=False, reason=f"there is no agent {agent!r}")
        row = self._select(
            "SELECT run_s_max FROM permission WHERE agent = ? AND language = ?", agent, language
        )
        if row is None:
            return Verdict(is_allowed=False, reason=f"{agent} may not run {language}")
        return Verdict(is_allowed=True, run_s_max=row[0])

    def is_reachable(self) -> bool:
        """Tell whether the database answers."""
        try:
            self._select("SELECT count(*) FROM permission")
        except PolicyUnavailableError:
            return False
        return True

    def _select(self, statement: str, *values: str) -> tuple[float] | None:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
                row: tuple[float] | None = connection.execute(statement, values).fetchone()
        except sqlite3.Error as exc:
            raise PolicyUnavailableError(f"the policy database cannot be read: {exc}") from exc
        return row
