"""Rotate a password of PostgreSQL by two roles in turn: while one is in use, the other gets a new one.

Both roles log in, and become one role without login that owns the objects, so that ownership never
changes hands. The server only ever gets a verifier of a password, made here: no clear text reaches its
statements or its log.

Source: https://www.postgresql.org/docs/current/sql-alterrole.html, protocol-sasl (SCRAM-SHA-256).
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from resile.clients import postgres
from resile.core.clock import Clock
from resile.errors import ConfigError, OperationError, SecretRevokedError, UnknownSecretError
from resile.secrets.model import Turn
from resile.secrets.port import Provider
from resile.secrets.value import Secret

STEP_S: Final = 10.0
"""For one call, logging in included."""
VERIFY_S: Final = 5.0
PASSWORD_BYTES: Final = 32
LOOKS_MIN, LOOKS_MAX = 2, 50
"""A session that was just logging in shows a moment later."""
LOOK_EVERY_S: Final = 0.02

_ROLES = "SELECT rolname FROM pg_roles WHERE rolname IN ($1, $2)"
_IS_MEMBER = "SELECT pg_has_role($1, $2, 'MEMBER')"
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = $1 AND pid <> pg_backend_pid()"""


class PostgresRotator:
    """Changes which of two roles a service logs in as. Safe to share between threads.

    Args:
        dsn: Where the roles log in; without user and password.
        admin: The secret with a role that may alter both, and end their sessions: its connection string, or
            a JSON object with `username` and `password`, as this rotator makes it.
        users: The two roles that log in; made if they are not there.
        owner: The role that both become when they log in; made if it is not there. Empty: they stay
            themselves, and what one makes the other may not change.
        probe: What the new role must be able to ask.
        provider: Keeps the secret `admin`, and the current version.
        clock: For deadlines.

    Raises:
        ConfigError: If the roles are one, or the DSN cannot be read.
    """

    kind: Final = "postgres"
    has_overlap: Final = True

    def __init__(
        self,
        *,
        dsn: str,
        admin: str,
        users: tuple[str, str],
        owner: str = "",
        probe: str = "SELECT 1",
        provider: Provider,
        clock: Clock,
    ) -> None:
        if len({*users, owner}) != 3:
            raise ConfigError(
                f"the roles {', '.join((*users, owner))} are not two users and an owner",
                hint="name three different roles; the owner may be left out",
            )
        self._place = {
            key: part
            for key, part in postgres.parts_of(dsn).items()
            if key not in ("user", "password")
        }
        self._dsn = dsn
        self._admin = admin
        self._users = users
        self._owner = owner
        self._probe = probe
        self._provider = provider
        self._clock = clock

    @classmethod
    def open(cls, settings: Mapping[str, Any], *, provider: Provider, clock: Clock) -> Self:
        """Open what the table `rotator` says."""
        first, second = settings["users"]
        return cls(
            dsn=settings["dsn"],
            admin=settings["admin"],
            users=(first, second),
            owner=settings.get("owner", ""),
            probe=settings.get("probe", "SELECT 1"),
            provider=provider,
            clock=clock,
        )

    @property
    def target(self) -> str:
        """The two roles, and where they are."""
        place = self._place.get("host", ""), self._place.get("port", "")
        return f"postgres/{':'.join(place)}/{'+'.join(sorted(self._users))}"

    def prepare(self, turn: Turn) -> bytes:
        """Make a password for the role whose turn it is. Nothing is changed outside."""
        user = self._other(_user_of(turn.before))
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        return json.dumps({**self._place, "username": user, "password": password}).encode()

    def set(self, turn: Turn) -> None:
        """Give the role its new password, by its verifier; make what is not there.

        Raises:
            OperationError: If the server refuses or fails; transient.
            TimeoutError: If it does not answer.
        """
        after = _need(turn.after)
        user = self._ours(after)
        with self._asking() as ask:
            self._make_roles(ask)
            verifier = ask.session.verifier(user, after.field("password"))
            ask(f"ALTER ROLE {ask.name(user)} LOGIN PASSWORD {ask.text(verifier)}")

    def verify(self, turn: Turn) -> None:
        """Log in as a consumer will, see who that is, and ask the probe.

        Raises:
            OperationError: If it does not work; transient.
            TimeoutError: If the server does not answer.
        """
        after = _need(turn.after)
        user = self._ours(after)
        dsn = postgres.with_parts(self._dsn, user=user, password=after.field("password"))
        deadline_s = self._clock.monotonic() + VERIFY_S
        session = postgres.Session(dsn, deadline_s=deadline_s, clock=self._clock)
        try:
            ((is_now,),) = session.ask("SELECT current_user", deadline_s=deadline_s)
            if is_now != (self._owner or user):
                raise OperationError(
                    f"who logs in as {user} is {is_now}, not {self._owner or user}",
                    is_transient=True,
                )
            session.ask(self._probe, deadline_s=deadline_s)
        finally:
            session.close()

    def retire(self, turn: Turn) -> None:
        """Lock the role of before out, and end its sessions. A role that is none of the two is left.

        Raises:
            OperationError: If the server refuses or fails; or, not transient, if the current version
                uses this role again.
            TimeoutError: If it does not answer.
        """
        before = _user_of(turn.before)
        user = before if turn.after is None else self._other(self._ours(turn.after))
        if turn.before is not None and before not in self._users:
            return  # From before the two roles were used; whoever made it has to lock it.
        current = self._current(turn.name)
        if current is not None and _user_of(current) == user:
            raise OperationError(
                f"version {current.version} of {turn.name} uses the role {user} again",
                hint="somebody has put it meanwhile: put one with the other role",
            )
        self._lock_out(user)

    def abort(self, turn: Turn) -> None:
        """Lock the candidate's role out.

        Raises:
            OperationError: If the server refuses or fails; transient.
            TimeoutError: If it does not answer.
        """
        if turn.after is not None:
            self._lock_out(self._ours(turn.after))

    # How ----------------------------------------------------------------------------------------

    def _current(self, name: str) -> Secret | None:
        """Give the current version; None if somebody has revoked it meanwhile."""
        try:
            return self._provider.read(name)
        except (UnknownSecretError, SecretRevokedError):
            return None

    def _make_roles(self, ask: "_Ask") -> None:
        there = {name for (name,) in ask(_ROLES, *self._users)}
        for user in self._users:
            if user not in there:
                ask(f"CREATE ROLE {ask.name(user)} NOLOGIN")
        if not self._owner:
            return
        if not ask(_ROLES, self._owner, self._owner):
            ask(f"CREATE ROLE {ask.name(self._owner)} NOLOGIN")
        for user in self._users:
            if ask(_IS_MEMBER, user, self._owner) != [("t",)]:
                ask(f"GRANT {ask.name(self._owner)} TO {ask.name(user)}")
            ask(f"ALTER ROLE {ask.name(user)} SET role TO {ask.name(self._owner)}")

    def _lock_out(self, user: str) -> None:
        """Let a role open nothing any more.

        NOLOGIN is asked for after the password: it stops whoever was in the midst of logging in.
        """
        with self._asking() as ask:
            if not ask(_ROLES, user, user):
                return
            verifier = ask.session.verifier(user, secrets.token_urlsafe(PASSWORD_BYTES))
            ask(f"ALTER ROLE {ask.name(user)} NOLOGIN PASSWORD {ask.text(verifier)}")
            for look in range(LOOKS_MAX):
                if not ask(_END_SESSIONS, user) and look + 1 >= LOOKS_MIN:
                    return
                self._clock.sleep(LOOK_EVERY_S)
        raise OperationError(f"sessions of the role {user} do not end", is_transient=True)

    @contextmanager
    def _asking(self) -> Iterator["_Ask"]:
        dsn = self._admin_dsn()
        deadline_s = self._clock.monotonic() + STEP_S
        session = postgres.Session(dsn, deadline_s=deadline_s, clock=self._clock)
        try:
            yield _Ask(session, deadline_s)
        finally:
            session.close()

    def _admin_dsn(self) -> str:
        admin = self._provider.read(self._admin)
        try:
            user, password = admin.field("username"), admin.field("password")
        except OperationError:
            return admin.reveal()
        return postgres.with_parts(self._dsn, user=user, password=password)

    def _other(self, user: str) -> str:
        first, second = self._users
        return second if user == first else first

    def _ours(self, secret: Secret) -> str:
        user = secret.field("username")
        if user not in self._users:
            raise OperationError(
                f"the candidate of {secret.name} is of the role {user}, none of "
                f"{' and '.join(self._users)}",
                hint="somebody else has written it",
            )
        return user


class _Ask:
    """Asks over one session, until one deadline."""

    def __init__(self, session: postgres.Session, deadline_s: float) -> None:
        self.session = session
        self.name = session.identifier
        self.text = session.literal
        self._deadline_s = deadline_s

    def __call__(self, query: str, *values: str) -> list[postgres.Row]:
        return self.session.ask(query, *values, deadline_s=self._deadline_s)


def _user_of(secret: Secret | None) -> str:
    """Give the role of a credential; empty if it is none that we know."""
    if secret is None:
        return ""
    try:
        return secret.fields().get("username", "")
    except OperationError:
        return ""


def _need(secret: Secret | None) -> Secret:
    if secret is None:
        raise AssertionError("a rotation has a candidate from `prepared` on")
    return secret
