"""Shares breakers and limits through tables in PostgreSQL: over machines, by the server's clock."""

import contextlib
import json
import logging
import os
import threading
import weakref

from resile.clients.postgres import Session, check_dsn
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.model import Claim, Record
from resile.clients.sharing.rates import RateBook, shares
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import OperationError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""One read by primary key; an opening is known everywhere within it."""
ANSWER_S = 2.0
AGAIN_S_MAX = 10.0
WHY_LENGTH_MAX = 200

# Two that make it at once may both find nothing; the second try of the one that fails finds it.
MAKE = """
CREATE TABLE IF NOT EXISTS resile_breaker (
  name text PRIMARY KEY,
  generation bigint NOT NULL,
  is_open boolean NOT NULL,
  opened_at timestamptz NOT NULL,
  open_until timestamptz NOT NULL,
  owner text NOT NULL,
  why text NOT NULL
)"""
MAKE_RATE = """
CREATE TABLE IF NOT EXISTS resile_rate (
  name text NOT NULL,
  owner text NOT NULL,
  demand float8 NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (name, owner)
)"""
FIND = "SELECT to_regclass('resile_breaker'), to_regclass('resile_rate')"
OPEN = """
INSERT INTO resile_breaker AS held
VALUES ($1, 1, true, clock_timestamp(), clock_timestamp() + $2::float8 * interval '1 second', $3, $4)
ON CONFLICT (name) DO UPDATE SET
  generation = held.generation + 1, is_open = true, opened_at = excluded.opened_at,
  open_until = excluded.open_until, owner = excluded.owner, why = excluded.why
WHERE NOT held.is_open OR held.open_until <= clock_timestamp()"""
CLOSE = """
UPDATE resile_breaker SET generation = generation + 1, is_open = false, owner = $3, why = $4
WHERE name = $1 AND generation = $2::bigint AND is_open"""
READ = """
SELECT name, generation, is_open,
  greatest(0, extract(epoch FROM open_until - clock_timestamp())), owner, why
FROM resile_breaker WHERE name IN (SELECT jsonb_array_elements_text($1::jsonb))"""

SAY = """
INSERT INTO resile_rate AS said
SELECT key, $2, value::float8, clock_timestamp() FROM jsonb_each_text($1::jsonb)
ON CONFLICT (name, owner) DO UPDATE SET demand = excluded.demand, seen_at = excluded.seen_at"""
ASK = """
SELECT name, owner, demand FROM resile_rate
WHERE name IN (SELECT jsonb_object_keys($1::jsonb))
  AND seen_at > clock_timestamp() - interval '5 seconds'"""
TIDY = "DELETE FROM resile_rate WHERE seen_at < clock_timestamp() - interval '1 minute'"


class PostgresSharing:
    """Shares until it is closed, in a thread of its own. Safe to share between threads.

    Args:
        dsn: A libpq connection string or URI.
        agreement: Of which breakers.
        rates: Of which limits.
        clock: Paces the looks.

    Raises:
        ConfigError: If the DSN cannot be read.
        MissingExtraError: If psycopg is not installed.
    """

    name = "by PostgreSQL"

    def __init__(
        self, dsn: str, agreement: Agreement, rates: RateBook, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        check_dsn(dsn)
        self._dsn = dsn
        self._agreement = agreement
        self._rates = rates
        self._clock = clock
        self._owner = _owner()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._session: Session | None = None
        self._trouble = "the database was not reached yet"

    def __repr__(self) -> str:
        return f"<PostgresSharing {self._trouble or 'shares'}>"

    @property
    def trouble(self) -> str:
        """Tell why each process decides by itself now; empty while breakers are shared."""
        return self._trouble

    def start(self) -> None:
        """Begin to look. Does not wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="resile-sharing", daemon=True)
            self._thread.start()
            _SHARING.add(self)

    def close(self) -> None:
        """Share no more; each breaker stays as it is, and goes on by itself."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(ANSWER_S)
        _SHARING.discard(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: the connection and the thread are the parent's."""
        if self._session is not None:
            # To end it here would end it for the parent, too.
            _OF_PARENTS.append(self._session)
        self._session = self._thread = None
        self._ended = threading.Event()
        self._owner = _owner()
        with contextlib.suppress(RuntimeError):  # The interpreter ends: nothing is shared any more.
            self.start()

    def _run(self) -> None:
        again_s = LOOK_EVERY_S
        while not self._ended.wait(again_s):
            names, demands = self._agreement.names(), self._rates.demands()
            if not names and not demands:
                continue
            try:
                session = self._session or self._connect()
                self._look(session, names)
                self._divide(session, demands)
            except (OperationError, TimeoutError) as exc:
                self._lose(str(exc))
                again_s = min(again_s * 2, AGAIN_S_MAX)
            else:
                self._find()
                again_s = LOOK_EVERY_S
        self._disconnect()

    def _look(self, session: Session, names: list[str]) -> None:
        for claim in self._agreement.step():
            self._claim(session, claim)
        known = {name: Record(name, 0, False, 0.0, False, "") for name in names}
        rows = session.ask(READ, json.dumps(names), deadline_s=self._deadline_s())
        for name, generation, is_open, left_s, owner, why in rows:
            is_mine = owner == self._owner
            known[name] = Record(name, int(generation), is_open == "t", float(left_s), is_mine, why)
        for record in known.values():
            self._agreement.hear(record)
        for claim in self._agreement.step():
            self._claim(session, claim)

    def _divide(self, session: Session, demands: dict[str, float]) -> None:
        """Say what is called of each limit here, and take the part of it that is ours."""
        if not demands:
            return
        said = json.dumps(demands)
        session.ask(SAY, said, self._owner, deadline_s=self._deadline_s())
        found: dict[str, dict[str, float]] = {}
        for name, owner, demand in session.ask(ASK, said, deadline_s=self._deadline_s()):
            found.setdefault(name, {})[owner] = float(demand)
        for name, by_owner in found.items():
            self._rates.hear(name, shares(by_owner).get(self._owner, 0.0))

    def _claim(self, session: Session, claim: Claim) -> None:
        number = str(claim.for_s if claim.is_open else claim.generation)
        statement = OPEN if claim.is_open else CLOSE
        values = (claim.name, number, self._owner, claim.why[:WHY_LENGTH_MAX])
        session.ask(statement, *values, deadline_s=self._deadline_s())

    def _connect(self) -> Session:
        deadline_s = self._deadline_s()
        session = Session(self._dsn, deadline_s=deadline_s, clock=self._clock)
        self._session = session
        if "" in session.ask(FIND, deadline_s=deadline_s)[0]:
            session.ask(MAKE, deadline_s=deadline_s)
            session.ask(MAKE_RATE, deadline_s=deadline_s)
        session.ask(TIDY, deadline_s=deadline_s)
        return session

    def _deadline_s(self) -> float:
        return self._clock.monotonic() + ANSWER_S

    def _find(self) -> None:
        if self._trouble:
            logger.info("sharing.found")
        self._trouble = ""

    def _lose(self, reason: str) -> None:
        if not self._trouble:
            logger.warning("sharing.lost", extra={"reason": reason})
        self._trouble = reason
        self._agreement.forget()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _owner() -> str:
    """Name this process, apart from every other that ever was."""
    return f"{os.uname().nodename}:{os.getpid()}:{os.urandom(6).hex()}"


_SHARING: weakref.WeakSet[PostgresSharing] = weakref.WeakSet()
_OF_PARENTS: list[Session] = []


def _renew_all() -> None:
    for sharing in tuple(_SHARING):
        sharing.renew()


# After the import of threading, whose own renewal would forget a thread that was started before.
os.register_at_fork(after_in_child=_renew_all)
