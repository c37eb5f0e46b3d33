"""Logins to a real PostgreSQL with a secret that is rotated meanwhile: a driver's, an engine's, an AsyncEngine's."""

import asyncio
import contextlib
import itertools
import json
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from tests.support.feeding import FakeFeed
from tests.support.keeping import wait_until
from tests.support.postgres import Server

import resile
from resile.core.clock import SYSTEM_CLOCK
from resile.secrets import SecretManager, aconnect_with, bind_engine, connect_with
from resile.secrets.refusals import looks_refused
from resile.testing.secrets import FakeProvider

pytestmark = [pytest.mark.needs_postgres, pytest.mark.xdist_group("postgres")]

NAME = "db/app"
_NUMBERS = itertools.count(1)


class Logins:
    """Two roles in turn, and the secret that holds the current one."""

    def __init__(self, server: Server) -> None:
        number = next(_NUMBERS)
        self.server = server
        self.roles = itertools.cycle((f"scram_hook_{number}_a", f"scram_hook_{number}_b"))
        self.serial = 0
        self.provider = FakeProvider(clock=SYSTEM_CLOCK)
        self.feed = FakeFeed()
        self.user = self.password = ""
        self.rotate(is_told=False)
        self.manager = SecretManager(self.provider, feed=self.feed)

    def rotate(self, *, is_told: bool) -> str:
        """Let another role in, and make it the current one; give the version."""
        self.serial += 1
        self.user, self.password = next(self.roles), f"pass word%{self.serial}'\\"
        literal = self.password.replace("'", "''")
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            self.admin(f"CREATE ROLE {self.user}")
        self.admin(f"ALTER ROLE {self.user} LOGIN PASSWORD '{literal}'")
        value = json.dumps({"username": self.user, "password": self.password}).encode()
        number = self.provider.write(NAME, value, token=str(self.serial)).number
        if is_told:
            self.feed.listener.changed(NAME, number)
        return number

    def retire(self, role: str) -> None:
        """Let a role in no more, and end its sessions."""
        self.admin(f"ALTER ROLE {role} NOLOGIN PASSWORD NULL")
        self.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{role}'")

    def is_acknowledged(self) -> bool:
        return self.feed.acks[-1:] == [self.provider.history(NAME)[0].number]

    def sessions(self, role: str) -> int:
        with psycopg.connect(self.server.dsn) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            row = connection.execute(query, [role]).fetchone()
        assert row is not None
        return int(row[0])

    def admin(self, statement: str) -> None:
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def logins(postgres: Server) -> Iterator[Logins]:
    made = Logins(postgres)
    manager = resile.use_secrets(made.provider)
    yield made
    manager.close()
    made.manager.close()


def url_of(server: Server, driver: str) -> sqlalchemy.URL:
    host = server.dsn.partition("host=")[2]
    return sqlalchemy.URL.create(driver, database="postgres", query={"host": host})


# A driver's connect -------------------------------------------------------------------------------


def test_refused_login_is_recognised_and_shows_no_password(logins: Logins) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(logins.server.dsn, user=logins.user, password="wrong")

    assert looks_refused(caught.value)
    logins.retire(logins.user)
    with pytest.raises(psycopg.OperationalError) as caught:
        connect_with(NAME, psycopg.connect, logins.server.dsn)
    assert looks_refused(caught.value)
    assert logins.password not in "".join(traceback.format_exception(caught.value))


def test_database_that_is_not_there_is_no_refusal(logins: Logins) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect_with(NAME, psycopg.connect, logins.server.dsn, dbname="nope")

    assert not looks_refused(caught.value)


def test_connection_is_opened_with_the_newest_credential_after_a_refusal(logins: Logins) -> None:
    before = logins.user
    connect_with(NAME, psycopg.connect, logins.server.dsn).close()
    logins.rotate(is_told=False)
    logins.retire(before)
    with connect_with(NAME, psycopg.connect, logins.server.dsn, autocommit=True) as connection:
        assert connection.info.user == logins.user

    async def aconnect() -> str:
        connection = await aconnect_with(
            NAME, psycopg.AsyncConnection.connect, logins.server.dsn, autocommit=True
        )
        async with connection:
            return connection.info.user

    assert asyncio.run(aconnect()) == logins.user


# Engines ------------------------------------------------------------------------------------------


def test_engine_moves_to_the_new_credential_and_no_query_fails(logins: Logins) -> None:
    """A query runs with the old one meanwhile; its connection is closed when it comes back."""
    engine = sqlalchemy.create_engine(url_of(logins.server, "postgresql+psycopg"), pool_size=3)
    bind_engine(engine, NAME, manager=logins.manager)
    before = logins.user
    with engine.connect() as one, engine.connect() as two:
        users = {_user(one), _user(two)}
    assert users == {before}
    with engine.connect() as busy:
        assert _user(busy) == before
        number = logins.rotate(is_told=True)
        wait_until("idle ones are closed", lambda: logins.sessions(before) == 1)
        with engine.connect() as other:
            assert _user(other) == logins.user
        assert _user(busy) == before
        assert logins.feed.acks[-1] != number, "it is in use"

    wait_until("it is acknowledged", lambda: logins.feed.acks[-1] == number)
    assert logins.sessions(before) == 0
    logins.retire(before)
    with engine.connect() as connection:
        assert _user(connection) == logins.user
    engine.dispose()


def test_engine_under_load_loses_no_query_through_rotations(logins: Logins) -> None:
    engine = sqlalchemy.create_engine(url_of(logins.server, "postgresql+psycopg"), pool_size=2)
    bind_engine(engine, NAME, manager=logins.manager)
    ended, failed, done = threading.Event(), list[BaseException](), list[str]()

    def work() -> None:
        while not ended.is_set():
            try:
                with engine.connect() as connection:
                    done.append(_user(connection))
            except Exception as exc:  # noqa: BLE001 - each is a failure of the test
                failed.append(exc)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = logins.user
        logins.rotate(is_told=True)
        wait_until("it is acknowledged", logins.is_acknowledged)
        logins.retire(before)
    ended.set()
    for thread in threads:
        thread.join(20)
    engine.dispose()

    assert not failed, failed[0]
    assert logins.user in done


def test_engine_repeats_a_refused_login(logins: Logins) -> None:
    engine = sqlalchemy.create_engine(url_of(logins.server, "postgresql+psycopg"))
    end = bind_engine(engine, NAME, manager=logins.manager)
    before = logins.user
    with engine.connect() as connection:
        assert _user(connection) == before
    engine.dispose()
    logins.rotate(is_told=False)
    logins.retire(before)

    with engine.connect() as connection:
        assert _user(connection) == logins.user
    end()
    engine.dispose()


def test_async_engine_moves_to_the_new_credential(logins: Logins) -> None:
    async def run() -> None:
        engine = create_async_engine(url_of(logins.server, "postgresql+psycopg_async"))
        bind_engine(engine, NAME, manager=logins.manager)
        before = logins.user
        async with engine.connect() as connection:
            assert await connection.run_sync(_user) == before
        number = logins.rotate(is_told=True)
        for _ in range(2000):
            if logins.feed.acks[-1:] == [number]:
                break
            await asyncio.sleep(0.01)
        assert logins.feed.acks[-1] == number
        assert await asyncio.to_thread(logins.sessions, before) == 0
        logins.retire(before)
        async with engine.connect() as connection:
            assert await connection.run_sync(_user) == logins.user
        await engine.dispose()

    asyncio.run(asyncio.wait_for(run(), 40))


def _user(connection: Any) -> str:
    return str(connection.execute(sqlalchemy.text("SELECT session_user")).scalar_one())
