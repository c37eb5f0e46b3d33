"""Faults that take what others need: a lock, a port, the connections of a server."""

import contextlib
import errno
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tests.integration.chaos.conftest import Stage

from resile.errors import ConfigError, RejectedError

PATIENCE_S = 20.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# A database's lock --------------------------------------------------------------------------------


@pytest.fixture(params=["delete", "wal"])
def database(request, tmp_path):
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as found:
        found.execute(f"PRAGMA journal_mode = {request.param}")
        found.execute("CREATE TABLE notes (text)")
        yield found


def is_busy(database, words):
    try:
        database.execute(words).fetchall()
    except sqlite3.OperationalError as exc:
        return exc.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


WRITE, READ = "INSERT INTO notes VALUES ('x')", "SELECT * FROM notes"


def test_nobody_writes_while_the_lock_is_held_and_everybody_reads(stage, database):
    record = stage.inject("database.lock", "app.db")

    stage.active(record)
    assert is_busy(database, WRITE)
    assert not is_busy(database, READ)
    stage.end(record)
    assert not is_busy(database, WRITE)


def test_a_lock_against_all_stops_readers_where_there_is_no_write_ahead_log(stage, database):
    mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    record = stage.inject("database.lock", "app.db", against="all")

    stage.active(record)
    assert is_busy(database, READ) == (mode == "delete")
    stage.end(record)
    assert not is_busy(database, READ)


def test_a_lock_that_another_has_is_waited_for(stage, database):
    database.execute("BEGIN IMMEDIATE")
    record = stage.inject("database.lock", "app.db")
    fault = stage.host.faults["database.lock"]

    assert not fault.verify_active(record, stage.host).holds
    database.execute("COMMIT")
    stage.active(record)
    stage.end(record)


def test_a_lock_ends_with_its_time_though_nobody_ends_it(stage, database):
    record = stage.inject("database.lock", "app.db", ttl_s=1.5)

    stage.until(
        lambda: not is_busy(database, WRITE) and not stage.host.carriers.living(record.fault_id)
    )
    stage.end(record)


def test_what_is_no_database_is_not_locked(stage, tmp_path):
    (tmp_path / "notes.txt").write_text("x")

    for target in ("notes.txt", "none.db", "."):
        with pytest.raises(ConfigError):
            stage.inject("database.lock", target)


def test_our_own_journal_is_not_locked(stage, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / "own.db")) as own:
        own.execute("CREATE TABLE t (x)")

    with pytest.raises(RejectedError, match="resile's own"):
        stage.inject("database.lock", "state/own.db")


# A port -------------------------------------------------------------------------------------------

LISTENS = """
import socket, sys, time
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
time.sleep(300)
"""


@pytest.fixture
def listening():
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS, str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        yield process, port
        process.kill()


def may_listen(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as exc:
        return exc.errno != errno.EADDRINUSE
    return True


def test_a_free_port_is_taken_and_free_again(stage):
    port = free_port()
    record = stage.inject("port.taken", f":{port}")

    stage.active(record)
    assert not may_listen(port)
    stage.end(record)
    assert may_listen(port)


def test_a_port_is_not_taken_while_its_server_lives(stage, listening):
    process, port = listening
    record = stage.inject("port.taken", f":{port}")
    fault = stage.host.faults["port.taken"]

    time.sleep(0.5)
    assert not fault.verify_active(record, stage.host).holds
    process.kill()
    stage.active(record)
    stage.end(record)


def test_who_has_the_port_is_killed_for_it_if_that_was_said(stage, listening):
    process, port = listening
    record = stage.inject("port.taken", f":{port}", holder=f"pid/{process.pid}")

    stage.active(record)
    assert process.wait(PATIENCE_S) == -9
    assert not may_listen(port)
    stage.end(record)


def test_a_port_that_nobody_may_take_is_told(stage):
    outside = Stage(replace(stage.host, is_outside_allowed=True))
    record = outside.inject("port.taken", "192.0.2.1:9")
    fault = stage.host.faults["port.taken"]

    stage.until(lambda: "assign" in fault.verify_active(record, stage.host).detail)
    outside.end(record)


# Connections --------------------------------------------------------------------------------------

SERVES = """
import socket, sys
most, where = int(sys.argv[2]), sys.argv[1]
sock = socket.socket(socket.AF_UNIX) if "/" in where else socket.socket()
sock.bind(where if "/" in where else ("127.0.0.1", int(where)))
sock.listen()
print("up", flush=True)
import threading
lock, count = threading.Lock(), 0
def serve(link):
    global count
    with link:
        while link.recv(100):
            link.sendall(b"ok, heard")
    with lock:
        count -= 1
while True:
    link, _ = sock.accept()
    with lock:
        is_full = count >= most
        count += not is_full
    if is_full:
        link.close()
    else:
        threading.Thread(target=serve, args=(link,), daemon=True).start()
"""


@pytest.fixture(params=["tcp", "unix"])
def pooled(request, tmp_path):
    where = str(tmp_path / "s") if request.param == "unix" else str(free_port())
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, where, "5"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        yield where
        process.kill()


def is_served(where):
    sock = socket.socket(socket.AF_UNIX if "/" in where else socket.AF_INET)
    with sock:
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(where if "/" in where else ("127.0.0.1", int(where)))
            sock.sendall(b"x")
            return sock.recv(10).startswith(b"ok")
        except (ConnectionError, BrokenPipeError):
            return False


def test_a_server_has_no_connection_left_and_has_them_again(stage, pooled):
    assert is_served(pooled)
    record = stage.inject("pool.exhaust", pooled if "/" in pooled else f":{pooled}", most=20)

    stage.active(record)
    stage.until(lambda: not is_served(pooled))
    stage.end(record)
    stage.until(lambda: is_served(pooled))


def test_a_server_without_a_limit_keeps_so_many_as_were_said(stage, pooled):
    record = stage.inject("pool.exhaust", pooled if "/" in pooled else f":{pooled}", most=3)

    assert "3 connections are kept" in stage.active(record).detail
    assert is_served(pooled)
    stage.end(record)


def test_a_server_that_is_no_postgresql_is_told(stage, pooled):
    target = pooled if "/" in pooled else f":{pooled}"
    record = stage.inject("pool.exhaust", target, protocol="postgres")
    fault = stage.host.faults["pool.exhaust"]

    stage.until(lambda: "PostgreSQL" in fault.verify_active(record, stage.host).detail)
    stage.end(record)


@pytest.mark.parametrize("target", ["", "x", "nowhere/s", "127.0.0.1:0"])
def test_connections_need_a_server(stage, target):
    with pytest.raises(ConfigError):
        stage.inject("pool.exhaust", target)


@pytest.mark.needs_postgres
@pytest.mark.xdist_group("postgres")
def test_postgresql_has_no_connection_left_though_nobody_knows_a_password(stage, postgres):
    import psycopg

    folder = postgres.dsn.partition("host=")[2]
    outside = Stage(replace(stage.host, is_outside_allowed=True))
    record = outside.inject(
        "pool.exhaust", f"{folder}/.s.PGSQL.5432", protocol="postgres", user="scram_nobody"
    )

    outside.active(record)
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        psycopg.connect(postgres.dsn)
    outside.end(record)
    stage.until(lambda: is_let_in(postgres.dsn))


def is_let_in(dsn):
    import psycopg

    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.needs_postgres
@pytest.mark.xdist_group("postgres")
def test_what_postgresql_says_against_us_is_told(stage, postgres):
    folder = postgres.dsn.partition("host=")[2]
    outside = Stage(replace(stage.host, is_outside_allowed=True))
    record = outside.inject(
        "pool.exhaust", f"{folder}/.s.PGSQL.5432", protocol="postgres", database="none"
    )
    fault = stage.host.faults["pool.exhaust"]

    stage.until(lambda: '"none" does not exist' in fault.verify_active(record, stage.host).detail)
    outside.end(record)
