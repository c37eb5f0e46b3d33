"""Writes of a process that are said to be done, and are not."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from resile.chaos.tracing import why_not
from resile.errors import ConfigError, RejectedError
from resile.health import read_stat

WRITES = """
import os, sys, threading
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
other = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
def pwrite(text):
    return os.pwrite(fd, text, 0)
def thread(text):
    done = []
    made = threading.Thread(target=lambda: done.append(os.pwrite(fd, text, 0)))
    made.start()
    made.join()
    return done[0]
def child(text):
    pid = os.fork()
    if pid == 0:
        os._exit(os.pwrite(fd, text, 0))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
DO = {
    "pwrite": pwrite,
    "thread": thread,
    "child": child,
    "write": lambda text: os.write(fd, text),
    "other": lambda text: os.pwrite(other, text, 0),
}
print("up", flush=True)
for line in sys.stdin:
    how, text = line.split()
    print(DO[how](text.encode()), flush=True)
"""


@pytest.fixture
def writer(stage, tmp_path):
    """A process that writes what it is told to; give it, and what tells it."""
    if why := why_not():
        pytest.skip(why)
    names = [str(tmp_path / name) for name in ("file", "other")]
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "up\n"

        def asked(how, text):
            process.stdin.write(f"{how} {text}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield process, asked
        process.kill()


def inject(stage, process, fault, **options):
    """Inject it; return when the process is traced."""
    record = stage.inject(fault, f"pid/{process.pid}", path="file", **options)
    stage.until(lambda: "struck" in stage.host.ledger.said(record.fault_id))
    return record


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"........")
    return path


@pytest.mark.parametrize("how", ["pwrite", "thread", "child", "write"])
def test_a_torn_write_is_said_to_be_whole(stage, file, writer, how):
    process, asked = writer
    record = inject(stage, process, "disk.torn")

    assert asked(how, "ABCDEFGH") == 8
    assert file.read_bytes() == b"ABCD...."
    assert "1 of 1" in stage.active(record).detail
    stage.end(record)
    assert asked("pwrite", "abcdefgh") == 8
    assert file.read_bytes() == b"abcdefgh"


def test_a_lost_write_leaves_what_was_there(stage, file, writer):
    process, asked = writer
    record = inject(stage, process, "disk.lost")

    assert asked("pwrite", "ABCDEFGH") == 8
    assert file.read_bytes() == b"........"
    stage.active(record)
    stage.end(record)


def test_so_many_writes_are_hit_after_so_many_and_no_other_file_is(stage, file, writer, tmp_path):
    process, asked = writer
    record = inject(stage, process, "disk.lost", after=1, count=2)

    seen = []
    for text in ("11111111", "22222222", "33333333", "44444444"):
        assert asked("other", text) == asked("pwrite", text) == 8
        assert (tmp_path / "other").read_text() == text
        seen.append(file.read_text()[0])
    assert seen == ["1", "1", "1", "4"]
    stage.end(record)


def test_a_database_that_lost_a_page_is_found_to_be_damaged(stage, writer, tmp_path):
    code = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('CREATE TABLE t (x)')\n"
        "db.execute('CREATE INDEX i ON t (x)')\n"
        "print('up', flush=True)\n"
        "for line in sys.stdin:\n"
        "    db.execute('INSERT INTO t VALUES (?)', (line * 100,))\n"
        "    print('done', flush=True)\n"
    )
    path = tmp_path / "file"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "up\n"
        record = inject(stage, process, "disk.lost", after=1, count=1)
        process.stdin.write("row\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        stage.active(record)
        stage.end(record)
        process.stdin.close()
    with sqlite3.connect(path) as database:
        (answer,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    assert answer != "ok"


def test_a_process_goes_on_when_whoever_traces_it_is_killed(stage, file, writer):
    process, asked = writer
    record = inject(stage, process, "disk.torn")
    (carrier,) = stage.host.carriers.living(record.fault_id)

    os.kill(carrier.pid, signal.SIGKILL)
    stage.until(lambda: not stage.host.carriers.living(record.fault_id))
    assert asked("pwrite", "ABCDEFGH") == 8
    assert file.read_bytes() == b"ABCDEFGH"
    stage.end(record)


def test_a_process_that_is_traced_stops_goes_on_and_ends_by_signals_as_ever(stage, file, writer):
    process, asked = writer
    record = inject(stage, process, "disk.torn")

    process.send_signal(signal.SIGSTOP)
    stage.until(lambda: read_stat(process.pid).state in ("T", "t"))
    process.send_signal(signal.SIGCONT)
    assert asked("other", "x") == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    stage.end(record)


def test_it_ends_with_its_time_though_nobody_ends_it(stage, file, writer):
    process, asked = writer
    record = inject(stage, process, "disk.lost", ttl_s=1.0, count=1000)

    deadline_s = time.monotonic() + 20
    while asked("pwrite", "ABCDEFGH") and file.read_bytes() != b"ABCDEFGH":
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    stage.end(record)


def test_a_process_that_is_traced_already_is_left_alone(stage, file, writer):
    process, _ = writer
    record = inject(stage, process, "disk.torn")

    with pytest.raises(RejectedError, match="traced already"):
        stage.inject("disk.lost", f"pid/{process.pid}", path="file")
    stage.end(record)


def test_the_file_must_be_there(stage, writer):
    with pytest.raises(ConfigError, match="does not exist"):
        stage.inject("disk.lost", f"pid/{writer[0].pid}", path="none")
