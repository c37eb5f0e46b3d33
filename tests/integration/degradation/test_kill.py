"""A program that is killed at any instant: what counted is what comes back."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from resile.core.journal import open_journal
from resile.degradation import Degradation, Outbox, Service

PROGRAM = """
import sys
from resile.degradation import Degradation, Service

services = Degradation(Service("a", fallbacks=["f"]), journal=sys.argv[1])
states = ("FAILED", "DEGRADED", "CRITICAL", "HEALTHY")
for number in range(100_000):
    services.set_state("a", states[number % 4], f"change {number}")
    print(number, services.state("a"), flush=True)
"""

SENDER = """
import sys
from resile.degradation import Outbox

outbox = Outbox(sys.argv[1])
for number in range(100_000):
    outbox.put(number, id=str(number))
    print("put", number, flush=True)
    outbox.drain(lambda message: print("sent", message.value, flush=True))
"""
LINES_BEFORE = (3, 17)
STATES = ("FAILED", "DEGRADED", "CRITICAL", "HEALTHY")


def lines_of_a_killed(program: str, path: Path, count: int) -> list[str]:
    """Run a program, kill it after some lines, and give all whole lines that it wrote."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
    ) as process:
        if process.stdout is None:
            raise AssertionError("no pipe")
        data = b""
        while data.count(b"\n") < count:
            assert select.select([process.stdout], [], [], 30)[0], data
            data += os.read(process.stdout.fileno(), 4096)
        process.send_signal(signal.SIGKILL)
        data += process.stdout.read()
    return data.decode().split("\n")[:-1]


def test_states_come_back_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    for count in LINES_BEFORE:
        number = int(lines_of_a_killed(PROGRAM, folder, count)[-1].split()[0])

        with Degradation(Service("a", fallbacks=["f"]), journal=folder) as services:
            status = services.status("a")
            assert services.journal_trouble == ""
        # What was seen is there; the change after it may have been written and not seen.
        possible = {STATES[n % 4]: f"change {n}" for n in (number, number + 1)}
        assert status.state in possible
        assert status.reason in (possible[status.state], "")
    open_journal(folder, create=False).close()


def test_messages_come_back_after_a_kill(tmp_path: Path) -> None:
    for count in LINES_BEFORE:
        path = tmp_path / f"{count}.db"
        lines = [line.split() for line in lines_of_a_killed(SENDER, path, count)]
        put = {int(number) for what, number in lines if what == "put"}
        sent = [int(number) for what, number in lines if what == "sent"] + all_left(path)

        assert put <= set(sent)
        assert len(sent) - len(set(sent)) <= 1


def all_left(path: Path) -> list[int]:
    """Send what is left, whoever held it when he died."""
    left: list[int] = []
    with Outbox(path) as outbox:
        with outbox._table._transaction() as sql:
            sql.execute("update message set boot = ''")
        assert outbox.drain(lambda message: left.append(message.value)).waiting == 0
    return left
