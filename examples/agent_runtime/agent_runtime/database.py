"""The policy database: gives the policies to whoever logs in, over a unix socket.

A request is `{"user": NAME, "password": TEXT}`; the answer is `{"rules": [[AGENT, LANGUAGE, SECONDS]...]}`,
with null for the last two of an agent that may run nothing, or `{"error": MESSAGE, "sqlstate": CODE}`.

It stands for the database server of a real system: it knows its users by itself (`logins.py`), and
changes a password when somebody tells it to (`rotate.py`).
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from agent_runtime import seed
from agent_runtime.lifecycle import serve
from agent_runtime.logins import Logins
from agent_runtime.policy import LOGIN_REFUSED
from agent_runtime.settings import Settings, from_environment
from agent_runtime.wire_service import WireService

LOCK_TIMEOUT_S = 1.0
RULES_MAX = 10_000
"""The dispatcher keeps them for when the database is away; a database with more is not read."""
BUSY, FAILED = "55P03", "58000"
"""SQLSTATEs: lock_not_available, which passes, and system_error, which does not by itself."""


class Database:
    """Answers whoever may log in. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.policy_db
        self._logins = Logins(settings.logins)

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer one request. Each logs in, so that there is no session that outlives a password."""
        user, password = request.get("user"), request.get("password")
        if not isinstance(user, str) or not isinstance(password, str):
            return {"error": '"user" and "password" must be texts'}
        try:
            if not self._logins.admit(user, password):
                return {"error": "no such user, or not its password", "sqlstate": LOGIN_REFUSED}
            return {"rules": _rows(self._path)}
        except sqlite3.Error as exc:
            is_busy = getattr(exc, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            )
            return {"error": f"it cannot be read: {exc}", "sqlstate": BUSY if is_busy else FAILED}
        except (OSError, ValueError) as exc:
            return {"error": f"its users cannot be read: {exc}", "sqlstate": FAILED}


def _rows(path: Path) -> list[tuple[str, str | None, float | None]]:
    """Read all rules, of one moment.

    Raises:
        sqlite3.Error: If the file is missing, locked, damaged, or has more than RULES_MAX.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        rows = connection.execute(
            "SELECT name, language, run_s_max FROM agent LEFT JOIN permission ON agent = name LIMIT ?",
            (RULES_MAX + 1,),
        ).fetchall()
    if len(rows) > RULES_MAX:
        raise sqlite3.DataError(f"more than {RULES_MAX} rules")
    return rows


def main() -> None:
    """Answer until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    path = settings.database_socket
    serve("database", lambda: WireService(path, Database(settings).answer), where=str(path))


if __name__ == "__main__":
    main()
