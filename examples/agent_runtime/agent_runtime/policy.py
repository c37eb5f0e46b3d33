"""Read the policy database: which agents may run what, and for how long."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LOCK_TIMEOUT_S = 1.0
RULES_MAX = 10_000
"""Kept in memory for when the database is away; a database with more is not read."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that the database says, as of one moment.

    Args:
        agents: Those who are known.
        run_s_max: For how long, by agent and language.
        read_at: When; aware, UTC.
    """

    agents: frozenset[str]
    run_s_max: Mapping[tuple[str, str], float]
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def verdict(self, agent: str, language: str) -> Verdict:
        """Tell whether an agent may run a script in a language."""
        if agent not in self.agents:
            return Verdict(is_allowed=False, reason=f"there is no agent {agent!r}")
        run_s_max = self.run_s_max.get((agent, language))
        if run_s_max is None:
            return Verdict(is_allowed=False, reason=f"{agent} may not run {language}")
        return Verdict(is_allowed=True, run_s_max=run_s_max)


def read_rules(path: Path) -> Rules:
    """Read all rules, of one moment.

    Raises:
        sqlite3.Error: If the database is away, locked, damaged, or has more than RULES_MAX.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        rows = connection.execute(
            "SELECT name, language, run_s_max FROM agent LEFT JOIN permission ON agent = name LIMIT ?",
            (RULES_MAX + 1,),
        ).fetchall()
    if len(rows) > RULES_MAX:
        raise sqlite3.DataError(f"more than {RULES_MAX} rules")
    return Rules(
        agents=frozenset(name for name, _, _ in rows),
        run_s_max={(name, language): most for name, language, most in rows if language},
    )
