"""A process and its daemon: what one says the other knows, and what the other orders is done."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.laning import Daemon, Stranger, running, wait_until

from resile.clients import lane as lanes
from resile.clients import wire
from resile.clients.lane import Lane
from resile.core.unix import Peer
from resile.daemon.lanes import Instance
from resile.daemon.sockets import listen_unix
from resile.errors import ConfigError
from resile.testing import MemoryJournal

WORKER = """
import os, sys
import resile

@resile.guard("payments", breaker=resile.Breaker(failures=2, open_for="60s"))
def pay(ok):
    if not ok:
        raise OSError("no route to the bank")

def one(ok):
    try:
        pay(ok)
        return "went through"
    except Exception as exc:
        return type(exc).__name__

print("ready", flush=True)
for line in sys.stdin:
    if line == "fork\\n":
        if os.fork():
            os.wait()
            break
        resile.breaker("payments").trip(why="in the child")
        print("forked", os.getpid(), flush=True)
        continue
    print(one(line == "good\\n"), flush=True)
"""


class Worker:
    """A process of a user, in a service or not."""

    def __init__(self, state: Path) -> None:
        env = {**os.environ, "RESILE_STATE_DIR": str(state)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self._read() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, word: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._read()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.end()


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    lane = Lane(tmp_path, program="test")
    yield lane
    lane.close()


def row_of(daemon: Daemon, pid: int, **facts: Any) -> Any:
    def found() -> Any:
        rows = [row for row in daemon.rows() if row["pid"] == pid]
        return [row for row in rows if facts.items() <= row.items()]

    return wait_until(f"{pid} with {facts}", found)[0]


def test_a_guard_shows_by_itself_in_a_process_of_a_system(daemon: Daemon, worker: Worker) -> None:
    daemon.services["billing"] = Instance(pid=os.getpid(), generation=1)
    row = row_of(daemon, worker.pid, guard="payments", state="closed", calls=0)

    assert row["program"] == "-c"
    assert row["success_rate"] is None
    assert "Breaker" in row["policy"]


def test_a_breaker_that_opens_is_told_journalled_and_counted(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.services["billing"] = Instance(pid=os.getpid(), generation=1)
    worker = Worker(tmp_path)
    assert worker.ask("good") == "went through"
    assert [worker.ask("bad"), worker.ask("bad"), worker.ask("bad")] == [
        *("OSError", "OSError", "BreakerOpenError"),
    ]

    row = row_of(daemon, worker.pid, state="open", failures=2, rejected=1)
    assert row["service"] == "billing"
    assert row["last_failure"].endswith("no route to the bank")
    assert 0 < row["left_s"] <= 60
    (event,) = wait_until("it is journalled", lambda: daemon.events("policy.opened"))
    assert event.subject == "policy/payments"
    assert event.body["service"] == "billing"
    assert event.body["pid"] == worker.pid
    assert event.body["reason"] == "too many bad calls"
    assert 59 < event.body["retry_in_s"] <= 60
    worker.end()
    wait_until("it is gone", lambda: not daemon.rows())


def test_an_order_is_journalled_before_it_is_sent_and_when_it_is_done(
    daemon: Daemon, worker: Worker
) -> None:
    row_of(daemon, worker.pid)

    done = daemon.order("payments", "force-open", for_s=300, why="INC-12")

    assert (done["done"], done["failed"], done["silent"]) == (1, [], 0)
    assert worker.ask("good") == "BreakerOpenError"
    row = row_of(daemon, worker.pid, mode="forced_open", reason="INC-12")
    assert 290 < row["left_s"] <= 300
    (ordered,) = daemon.events("policy.ordered")
    (obeyed,) = daemon.events("policy.obeyed")
    assert ordered.correlation_id == obeyed.correlation_id
    assert ordered.actor == "operator:ann"
    assert obeyed.body["done"] == 1
    assert wait_until("it is told", lambda: daemon.events("policy.forced"))


def test_an_order_holds_for_a_process_that_comes_later_until_it_is_over(
    daemon: Daemon, tmp_path: Path, worker: Worker
) -> None:
    row_of(daemon, worker.pid)
    daemon.order("payments", "trip", for_s=300, why="bank is down")
    later = Worker(tmp_path)
    row_of(daemon, later.pid, state="open")
    assert later.ask("good") == "BreakerOpenError"

    daemon.order("payments", "reset", why="bank is back")
    assert [worker.ask("good"), later.ask("good")] == ["went through"] * 2
    latest = Worker(tmp_path)
    row_of(daemon, latest.pid, state="closed")
    assert latest.ask("good") == "went through"
    later.end()
    latest.end()


def test_an_order_outlives_the_daemon_and_is_not_carried_out_twice(
    tmp_path: Path, worker: Worker
) -> None:
    journal = MemoryJournal()
    with running(tmp_path, journal) as daemon:
        row_of(daemon, worker.pid)
        daemon.order("payments", "force-open", why="by hand")
    with running(tmp_path, journal) as daemon:
        row = row_of(daemon, worker.pid, mode="forced_open")
        later = Worker(tmp_path)
        assert row_of(daemon, later.pid, mode="forced_open")["reason"] == "by hand"
        wait_until("it is journalled", lambda: later.pid in forced(daemon))
        assert forced(daemon).count(worker.pid) <= 1
        assert daemon.call(daemon.desk.names) == ["payments"]
        later.end()
    assert row["reason"] == "by hand"


def forced(daemon: Daemon) -> list[int]:
    return [event.body["pid"] for event in daemon.events("policy.forced")]


def test_a_child_of_a_fork_has_a_line_of_its_own(daemon: Daemon, worker: Worker) -> None:
    row_of(daemon, worker.pid)

    word, child = worker.ask("fork").split()

    assert word == "forked"
    row_of(daemon, int(child), state="open")
    row_of(daemon, worker.pid, state="closed")


def test_without_a_daemon_nothing_happens_and_one_that_comes_hears_it_all(
    tmp_path: Path, lane: Lane
) -> None:
    lane.publish("notes", {"n": 1})
    lane.publish("notes", {"n": 2})
    lane.start()
    wait_until("it was tried", lambda: "No such file" in lane.trouble)

    with running(tmp_path) as daemon:
        (said,) = wait_until("it is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))
        assert said["value"] == {"n": 2}
        assert (said["pid"], said["program"]) == (os.getpid(), "test")
        assert lane.trouble == ""
    wait_until("it is missed", lambda: lane.trouble != "")
    with running(tmp_path) as daemon:
        wait_until("it is heard again", lambda: daemon.call(lambda: daemon.desk.topic("notes")))


def test_an_order_of_another_topic_is_taken_and_its_error_told(daemon: Daemon, lane: Lane) -> None:
    taken: list[Any] = []

    def take(value: Any) -> None:
        taken.append((value, threading.current_thread().name))
        if value == "bad":
            raise ConfigError("it cannot be", hint="do not")
        if value == "worse":
            raise ZeroDivisionError

    lane.on("notes", take)
    lane.publish("notes", 1)
    lane.start()
    (said,) = wait_until("it is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))

    def tell(topic: str, value: Any) -> Any:
        return daemon.wait(daemon.desk.tell(said["key"], topic, value))

    assert tell("notes", "good") == ""
    assert tell("notes", "bad") == "it cannot be: do not"
    assert tell("notes", "worse") == "ZeroDivisionError: "
    assert "nobody here takes orders of 'others'" in tell("others", 1)
    assert {name for _, name in taken} == {"resile-lane"}
    lane.close()
    wait_until("it is gone", lambda: tell("notes", "good") == "the process is gone")


def test_a_process_that_is_stopped_is_silent_and_the_others_obey(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.daemon.lanes.desk.ANSWER_S", 0.5)
    stopped = Stranger(daemon.path).hello()
    row = {"name": "payments", "state": "closed", "mode": "automatic"}
    stopped.say({"publish": "policies", "value": [row]})
    row_of(daemon, worker.pid)
    row_of(daemon, os.getpid())

    done = daemon.order("payments", "trip", why="x")

    assert (done["done"], done["silent"]) == (1, 1)
    stopped.close()


def test_what_happens_without_a_daemon_is_kept_up_to_a_bound_and_counted(
    tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(
        "resile.daemon.lanes.desk.LaneDesk._hear", lambda _self, _line, said: heard.append(said)
    )
    for n in range(lanes.SENT_MAX + 5):
        lane.send("signals", n)
    lane.start()

    with running(tmp_path):
        wait_until("all is heard", lambda: heard and heard[-1]["values"][-1] == 1004)

    values = [value for said in heard for value in said["values"]]
    assert values == list(range(5, 1005))
    assert [said["lost"] for said in heard] == [5] + [0] * 9


def test_what_cannot_be_written_is_left_out_and_logged_once(
    daemon: Daemon, lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    lane.work(lambda: lane.publish("odd", {1, 2}))
    lane.publish("notes", 1)
    lane.start()

    wait_until("the rest is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))
    assert daemon.call(lambda: daemon.desk.topic("odd")) == []
    wait_until("it is logged", lambda: "lane.unsaid topic=odd reason=" in caplog.text)
    lane.publish("notes", 2)
    wait_until("more is heard", lambda: daemon.call(lambda: _value(daemon)) == 2)
    assert caplog.text.count("lane.unsaid") == 1


def _value(daemon: Daemon) -> Any:
    return daemon.desk.topic("notes")[0]["value"]


def test_work_that_fails_does_not_end_the_thread(daemon: Daemon, lane: Lane) -> None:
    def work() -> None:
        lane.publish("notes", 1)
        raise ZeroDivisionError

    lane.work(work)
    lane.start()

    wait_until("it is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))


def test_who_has_nothing_to_say_says_that_it_lives(
    daemon: Daemon, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(wire, "SILENCE_S_MAX", 0.8)
    lane.publish("notes", 1)
    lane.start()
    wait_until("it is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))

    time.sleep(1.2)

    assert lane.connections == 1
    monkeypatch.setattr(wire, "HEARTBEAT_S", 60.0)
    wait_until("it was left, and came again", lambda: lane.connections > 1)


def test_what_is_no_topic_is_refused_with_a_hint(lane: Lane) -> None:
    for topic in ("Bad", "", "a-b"):
        with pytest.raises(ConfigError, match="no topic"):
            lane.publish(topic, 1)
    for n in range(lanes.TOPICS_MAX):
        lane.on(f"topic_{chr(97 + n)}", print)
    with pytest.raises(ConfigError, match="16 topics"):
        lane.on("another", print)


@contextlib.contextmanager
def accepted(state: Path, lane: Lane) -> Iterator[socket.socket]:
    """Listen where a daemon should, and give the connection that the lane makes."""
    (state / "run").mkdir()
    with listen_unix(state / "run" / wire.SOCKET_NAME) as listening:
        listening.settimeout(20)
        lane.start()
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(20)
            yield connection


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (b'{"refused": "version 2"}\n', "version 2"),
        (b"SSH-2.0\n", "no JSON"),
        (b"", "hung up"),
    ],
)
def test_a_daemon_of_another_kind_is_left_alone(
    tmp_path: Path, lane: Lane, said: bytes, trouble: str
) -> None:
    lane.publish("notes", 1)
    with accepted(tmp_path, lane) as connection:
        connection.recv(1 << 16)
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        wait_until("it is left", lambda: trouble in lane.trouble)


def test_a_daemon_of_another_user_hears_nothing(
    tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "peer_of", lambda _sock: Peer(1, os.geteuid() + 1, 1))
    lane.publish("notes", "secret")
    with accepted(tmp_path, lane) as connection:
        assert connection.recv(1 << 16) == b""
    wait_until("it is left", lambda: "another user" in lane.trouble)


def test_a_daemon_that_reads_nothing_delays_nobody(
    tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "SEND_TIMEOUT_S", 0.05)
    lane.publish("notes", "x" * (1 << 19))
    with accepted(tmp_path, lane):
        began_s = time.monotonic()
        for _ in range(1000):
            lane.publish("notes", "x" * (1 << 19))
            lane.send("signals", 1)
        assert time.monotonic() - began_s < 5
        wait_until("it is left", lambda: "timed out" in lane.trouble)
