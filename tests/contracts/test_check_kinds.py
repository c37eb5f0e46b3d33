"""Every way to look keeps to the same contract, against real targets.

Each kind: a target that works is UP; one that does not is DOWN; one that hangs is DOWN within the
time-out; one that answers wrongly is DOWN; a target that makes no sense is DOWN with a hint. A look
never raises, and its reason names what was seen.
"""

import os
import re
import signal
import socket
import sqlite3
from contextlib import closing

import pytest
from tests.support.check_cases import CASES, Case, case
from tests.support.looking import Stage
from tests.support.servers import (
    answering,
    closed_port,
    full_backlog,
    scripted,
    silent,
    unix_listener,
)

from resile.core.clock import SYSTEM_CLOCK
from resile.core.process import Identity
from resile.core.vocabulary import CheckGroup, CheckState
from resile.health import CheckKind, CheckResult

UP, DEGRADED, DOWN = CheckState.UP, CheckState.DEGRADED, CheckState.DOWN
UNKNOWN = CheckState.UNKNOWN
IMPATIENT_S = 0.2
UNBOUNDED_S = 30.0
"""A look that takes this long did not keep to its time-out; no machine is that slow."""


# http ---------------------------------------------------------------------------------------------


@case(CheckKind.HTTP, "up", UP, "HTTP 200 from http://127.0.0.1:")
def _(stage: Stage) -> CheckResult:
    served = stage.stack.enter_context(
        scripted(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    )
    return stage.look(CheckKind.HTTP, f"{served.url}/health?token=secret")


@case(CheckKind.HTTP, "down", DOWN, "connection refused by http://127.0.0.1:")
def _(stage: Stage) -> CheckResult:
    port = stage.stack.enter_context(closed_port())
    return stage.look(CheckKind.HTTP, f"http://127.0.0.1:{port}/")


@case(CheckKind.HTTP, "hang", DOWN, "no answer within 200ms")
def _(stage: Stage) -> CheckResult:
    served = stage.stack.enter_context(scripted(silent))
    return stage.look(CheckKind.HTTP, served.url, timeout_s=IMPATIENT_S)


@case(CheckKind.HTTP, "wrong answer", DOWN, "HTTP 503 from http://127.0.0.1:")
def _(stage: Stage) -> CheckResult:
    served = stage.stack.enter_context(
        scripted(answering(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"))
    )
    return stage.look(CheckKind.HTTP, served.url)


@case(CheckKind.HTTP, "bad target", DOWN, "not an http or https URL; write http://")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.HTTP, "ftp://127.0.0.1/")


# tcp and unix -------------------------------------------------------------------------------------


@case(CheckKind.TCP, "up", UP, "accepts connections")
def _(stage: Stage) -> CheckResult:
    served = stage.stack.enter_context(scripted(silent, wants_request=False))
    return stage.look(CheckKind.TCP, f"127.0.0.1:{served.port}")


@case(CheckKind.TCP, "down", DOWN, "connection refused by 127.0.0.1:")
def _(stage: Stage) -> CheckResult:
    port = stage.stack.enter_context(closed_port())
    return stage.look(CheckKind.TCP, f"127.0.0.1:{port}")


@case(CheckKind.TCP, "hang", DOWN, "no answer within 200ms")
def _(stage: Stage) -> CheckResult:
    server = stage.stack.enter_context(full_backlog(("127.0.0.1", 0), socket.AF_INET))
    return stage.look(CheckKind.TCP, f"127.0.0.1:{server.getsockname()[1]}", timeout_s=IMPATIENT_S)


@case(CheckKind.TCP, "bad target", DOWN, "'localhost' is not HOST:PORT; write 127.0.0.1:8080")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.TCP, "localhost")


@case(CheckKind.UNIX, "up", UP, "accepts connections")
def _(stage: Stage) -> CheckResult:
    path = stage.stack.enter_context(unix_listener(stage.folder / "s"))
    return stage.look(CheckKind.UNIX, str(path))


@case(CheckKind.UNIX, "down", DOWN, "connection refused by ")
def _(stage: Stage) -> CheckResult:
    with unix_listener(stage.folder / "s"):
        pass
    return stage.look(CheckKind.UNIX, str(stage.folder / "s"))


@case(CheckKind.UNIX, "hang", DOWN, "the listen queue of .* is full")
def _(stage: Stage) -> CheckResult:
    path = str(stage.folder / "s")
    stage.stack.enter_context(full_backlog(path, socket.AF_UNIX))
    return stage.look(CheckKind.UNIX, path, timeout_s=IMPATIENT_S)


@case(CheckKind.UNIX, "missing", DOWN, "/s does not exist")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.UNIX, str(stage.folder / "s"))


@case(CheckKind.UNIX, "bad target", DOWN, "AF_UNIX path too long")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.UNIX, "/" + "x" * 200)


# command ------------------------------------------------------------------------------------------


@case(CheckKind.COMMAND, "up", UP, "^all is well$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("sh", "-c", "echo; echo all is well; echo more"))


@case(CheckKind.COMMAND, "down", DOWN, "^exit code 3: queue is stuck$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("sh", "-c", "echo queue is stuck >&2; exit 3"))


@case(CheckKind.COMMAND, "hang", DOWN, "^no answer within 200ms$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("sleep", "60"), timeout_s=IMPATIENT_S)


@case(CheckKind.COMMAND, "killed", DOWN, "^killed by SIGSEGV$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("sh", "-c", "kill -SEGV $$"))


@case(CheckKind.COMMAND, "wrong answer", DOWN, r"^exit code 1: \?\?bell�$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("sh", "-c", r"printf '\033\001bell\377'; exit 1"))


@case(CheckKind.COMMAND, "folder", UP, "^/$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("pwd",), cwd="/")


@case(CheckKind.COMMAND, "bad target", DOWN, "/no/such/program")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND, command=("/no/such/program",))


@case(CheckKind.COMMAND, "no command", DOWN, "the check has no command; write command = ")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.COMMAND)


# process and heartbeat ----------------------------------------------------------------------------


@case(CheckKind.PROCESS, "up", UP, r"^process \d+ lives$")
def _(stage: Stage) -> CheckResult:
    stage.service()
    return stage.look(CheckKind.PROCESS, service="api")


@case(CheckKind.PROCESS, "down", DOWN, r"^process \d+ is gone$")
def _(stage: Stage) -> CheckResult:
    process = stage.service()
    process.kill()
    process.wait()
    return stage.look(CheckKind.PROCESS, service="api")


@case(CheckKind.PROCESS, "zombie", DOWN, r"^process \d+ is a zombie$")
def _(stage: Stage) -> CheckResult:
    process = stage.service()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return stage.look(CheckKind.PROCESS, service="api")


@case(CheckKind.PROCESS, "hang", DEGRADED, r"^process \d+ is stopped by a signal$")
def _(stage: Stage) -> CheckResult:
    process = stage.service()
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    return stage.look(CheckKind.PROCESS, service="api")


@case(CheckKind.PROCESS, "wrong answer", DOWN, r"^process \d+ is gone$")
def _(stage: Stage) -> CheckResult:
    stage.service()
    other = stage.processes["api"]
    stage.processes["api"] = Identity(boot_id=other.boot_id, pid=other.pid, start_ticks=1)
    return stage.look(CheckKind.PROCESS, service="api")


@case(CheckKind.PROCESS, "too big", DOWN, r"of resident memory, at most 1MiB allowed$")
def _(stage: Stage) -> CheckResult:
    process = stage.service("print('ready', flush=True); input()")
    assert process.stdout is not None
    process.stdout.readline()
    return stage.look(CheckKind.PROCESS, service="api", options={"rss_max_bytes": 1 << 20})


@case(CheckKind.PROCESS, "bad target", DOWN, "^service nobody does not run$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.PROCESS, "nobody")


@case(CheckKind.HEARTBEAT, "up", UP, "^last heartbeat 2s ago$")
def _(stage: Stage) -> CheckResult:
    stage.silences_s["api"] = 2.0
    return stage.look(CheckKind.HEARTBEAT, service="api", options={"age_max_s": 3.0})


@case(CheckKind.HEARTBEAT, "down", DOWN, "^silent for 4s, at most 3s allowed$")
def _(stage: Stage) -> CheckResult:
    stage.silences_s["backup"] = 4.0
    return stage.look(CheckKind.HEARTBEAT, "backup", options={"age_max_s": 3.0})


@case(CheckKind.HEARTBEAT, "not yet", UNKNOWN, "^no heartbeat is expected before it is ready$")
def _(stage: Stage) -> CheckResult:
    stage.silences_s["api"] = None
    return stage.look(CheckKind.HEARTBEAT, service="api", options={"age_max_s": 3.0})


@case(CheckKind.HEARTBEAT, "default limit", DOWN, "^silent for 3m1s, at most 3m allowed$")
def _(stage: Stage) -> CheckResult:
    stage.silences_s["backup"] = 181.0
    return stage.look(CheckKind.HEARTBEAT, "backup")


@case(CheckKind.HEARTBEAT, "bad target", DOWN, "^the look failed: KeyError")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.HEARTBEAT, "nobody")


# sqlite and postgres ------------------------------------------------------------------------------


def make_database(stage: Stage) -> str:
    path = stage.folder / "my data?#.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    return str(path)


@case(CheckKind.SQLITE, "up", UP, "answers$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.SQLITE, make_database(stage))


@case(CheckKind.SQLITE, "down", DOWN, "/gone.db does not exist$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.SQLITE, str(stage.folder / "gone.db"))


@case(CheckKind.SQLITE, "hang", DOWN, "^no answer within 200ms, it is locked$")
def _(stage: Stage) -> CheckResult:
    path = make_database(stage)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        return stage.look(CheckKind.SQLITE, path, timeout_s=IMPATIENT_S)


@case(CheckKind.SQLITE, "in use", UP, "answers$")
def _(stage: Stage) -> CheckResult:
    path = make_database(stage)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
        return stage.look(CheckKind.SQLITE, path)


@case(CheckKind.SQLITE, "wrong answer", DOWN, "^file is not a database")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "text.db"
    path.write_bytes(b"this is no database" * 100)
    return stage.look(CheckKind.SQLITE, str(path))


@case(CheckKind.SQLITE, "bad target", DOWN, "^(unable to open database file|disk I/O error) ")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.SQLITE, str(stage.folder))


@case(CheckKind.POSTGRES, "up", UP, "^PostgreSQL answers$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.POSTGRES, stage.postgres().dsn)


@case(CheckKind.POSTGRES, "down", DOWN, "^connection to server .* failed: Connection refused")
def _(stage: Stage) -> CheckResult:
    port = stage.stack.enter_context(closed_port())
    return stage.look(CheckKind.POSTGRES, f"postgresql://u:secret@127.0.0.1:{port}/db")


@case(CheckKind.POSTGRES, "hang", DOWN, "^no answer within 200ms$")
def _(stage: Stage) -> CheckResult:
    process = stage.postgres().process
    process.send_signal(signal.SIGSTOP)
    stage.stack.callback(process.send_signal, signal.SIGCONT)
    return stage.look(CheckKind.POSTGRES, stage.postgres().dsn, timeout_s=IMPATIENT_S)


@case(CheckKind.POSTGRES, "silent server", DOWN, "^no answer within 200ms$")
def _(stage: Stage) -> CheckResult:
    port = stage.stack.enter_context(scripted(silent)).port
    dsn = f"postgresql://u:secret@127.0.0.1:{port}/db"
    return stage.look(CheckKind.POSTGRES, dsn, timeout_s=IMPATIENT_S)


@case(CheckKind.POSTGRES, "wrong answer", DOWN, "received invalid response to SSL negotiation")
def _(stage: Stage) -> CheckResult:
    port = stage.stack.enter_context(scripted(answering(b"HTTP/1.1 400 Bad\r\n\r\n"))).port
    return stage.look(CheckKind.POSTGRES, f"postgresql://u:secret@127.0.0.1:{port}/db")


@case(CheckKind.POSTGRES, "no such database", DOWN, 'FATAL:  database "nope" does not exist$')
def _(stage: Stage) -> CheckResult:
    dsn = stage.postgres().dsn.replace("/postgres?", "/nope?")
    return stage.look(CheckKind.POSTGRES, dsn)


@case(CheckKind.POSTGRES, "bad target", DOWN, "^the DSN cannot be read by libpq; write postgres")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.POSTGRES, "u:secret@host")


# disk, memory, file -------------------------------------------------------------------------------


@case(CheckKind.DISK, "up", UP, r"B \(\d+\.\d%\) free on ")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.DISK, str(stage.folder), options={"free_min_bytes": 1})


@case(CheckKind.DISK, "down", DOWN, r"free on .*, wanted 1024TiB$")
def _(stage: Stage) -> CheckResult:
    options = {"free_min_bytes": 1 << 50, "free_warn_bytes": 1 << 51}
    return stage.look(CheckKind.DISK, str(stage.folder), options=options)


@case(CheckKind.DISK, "little left", DEGRADED, r"free on .*, wanted 100%$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.DISK, "/", options={"free_warn_share": 1.0})


@case(CheckKind.DISK, "bad target", DOWN, "/gone does not exist$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.DISK, str(stage.folder / "gone"))


@case(CheckKind.MEMORY, "up", UP, r"B \(\d+\.\d%\) free of memory$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.MEMORY, options={"free_min_bytes": 1})


@case(CheckKind.MEMORY, "down", DOWN, r"free of memory, wanted 100%$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.MEMORY, options={"free_min_share": 1.0})


@case(CheckKind.FILE, "up", UP, "/ready is there, ")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "ready"
    path.touch()
    return stage.look(CheckKind.FILE, str(path))


@case(CheckKind.FILE, "down", DOWN, "/ready does not exist$")
def _(stage: Stage) -> CheckResult:
    return stage.look(CheckKind.FILE, str(stage.folder / "ready"))


@case(CheckKind.FILE, "too old", DOWN, "/ready is 1h.* old, at most 1h allowed$")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "ready"
    path.touch()
    an_hour_ago_s = SYSTEM_CLOCK.now().timestamp() - 3630
    os.utime(path, (an_hour_ago_s, an_hour_ago_s))
    return stage.look(CheckKind.FILE, str(path), options={"age_max_s": 3600.0})


@case(CheckKind.FILE, "left by an earlier process", DOWN, r"/ready is older than process \d+$")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "ready"
    path.touch()
    before_s = SYSTEM_CLOCK.now().timestamp() - 5
    os.utime(path, (before_s, before_s))
    stage.service()
    return stage.look(CheckKind.FILE, str(path), service="api")


@case(CheckKind.FILE, "not written yet", UNKNOWN, "/beat is not written yet$")
def _(stage: Stage) -> CheckResult:
    stage.service()
    options = {"age_max_s": 3600.0}
    path = str(stage.folder / "beat")
    return stage.look(CheckKind.FILE, path, service="api", group=CheckGroup.LIVE, options=options)


@case(CheckKind.FILE, "not written anew yet", UNKNOWN, r"/beat is older than process \d+$")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "beat"
    path.touch()
    before_s = SYSTEM_CLOCK.now().timestamp() - 5
    os.utime(path, (before_s, before_s))
    stage.service()
    options = {"age_max_s": 3600.0}
    return stage.look(
        CheckKind.FILE, str(path), service="api", group=CheckGroup.LIVE, options=options
    )


@case(CheckKind.FILE, "never written", DOWN, "/beat does not exist$")
def _(stage: Stage) -> CheckResult:
    stage.service()
    path = str(stage.folder / "beat")
    return stage.look(CheckKind.FILE, path, service="api", group=CheckGroup.LIVE)


@case(CheckKind.FILE, "written by the process", UP, "/ready is there")
def _(stage: Stage) -> CheckResult:
    path = stage.folder / "ready"
    process = stage.service(f"open({str(path)!r}, 'w').close(); print('ok', flush=True); input()")
    assert process.stdout is not None
    process.stdout.readline()
    return stage.look(CheckKind.FILE, str(path), service="api")


@case(CheckKind.FILE, "bad target", DOWN, "Not a directory")
def _(stage: Stage) -> CheckResult:
    (stage.folder / "file").touch()
    return stage.look(CheckKind.FILE, str(stage.folder / "file" / "x"))


# The contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=f"{case.kind}-{case.situation.replace(' ', '_')}",
            marks=[pytest.mark.needs_postgres] if case.kind is CheckKind.POSTGRES else [],
        )
        for case in CASES
    ],
)
def test_look_tells_what_is_so(case: Case, stage: Stage) -> None:
    result = case.act(stage)

    assert (result.state, bool(re.search(case.reason, result.reason))) == (case.state, True), (
        result.reason
    )
    assert result.check == "check"
    assert 0 <= result.latency_s < UNBOUNDED_S
    assert "secret" not in result.reason
    assert len(result.reason.splitlines()) == 1


def test_every_kind_is_held_to_the_contract() -> None:
    situations = {kind: {c.situation for c in CASES if c.kind is kind} for kind in CheckKind}

    without_target = {CheckKind.MEMORY}
    assert all({"up", "down"} <= found for found in situations.values())
    assert all(
        "bad target" in found for kind, found in situations.items() if kind not in without_target
    )
