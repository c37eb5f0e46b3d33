"""The policies: which agents may run what, and for how long; and how the database is asked for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent_runtime import wire

LOGIN_REFUSED = "28P01"
"""The SQLSTATE of a login that is refused, as PostgreSQL has it; `resile.attempt` knows it."""


class DatabaseError(Exception):
    """The database did not give the policies.

    Args:
        message: Why, in one sentence.
        sqlstate: What sort of trouble it is; empty: it did not say.
    """

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


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


def read_rules(database: Path, *, user: str, password: str, timeout_s: float) -> Rules:
    """Log in, and read all rules, of one moment.

    Args:
        database: Its socket.
        user: Who logs in.
        password: Theirs.
        timeout_s: For all of it.

    Raises:
        DatabaseError: If the database refuses the login, or cannot read them.
        OSError: If it is away.
        ValueError: If its answer makes no sense.
    """
    login = {"user": user, "password": password}
    answer = wire.ask(database, login, timeout_s=timeout_s)
    if "error" in answer:
        raise DatabaseError(answer["error"], answer.get("sqlstate", ""))
    rows = answer["rules"]
    return Rules(
        agents=frozenset(name for name, _, _ in rows),
        run_s_max={(name, language): most for name, language, most in rows if language},
    )
