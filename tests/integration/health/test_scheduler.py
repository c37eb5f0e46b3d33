"""The scheduler with its threads, on the real clock, with real sockets and processes."""

import os
import queue
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import CheckChanged
from resile.core.process import identity_of
from resile.core.vocabulary import CheckState
from resile.health import CheckKind, CheckResult, CheckSpec, Scheduler, Streak
from resile.health.scheduler import WORKERS_MAX

PATIENCE_S = 20.0


class Watch:
    """A running scheduler and what it tells."""

    def __init__(self, *specs: CheckSpec) -> None:
        self.changes: queue.Queue[CheckChanged] = queue.Queue()
        self.results: queue.Queue[CheckResult] = queue.Queue()
        self.scheduler = Scheduler(specs, on_change=self.changes.put, on_result=self.results.put)

    def next_change(self) -> tuple[str, CheckState]:
        change = self.changes.get(timeout=PATIENCE_S)
        return change.check, change.after

    def start_service(self, service: str = "api", *, is_adopted: bool = False) -> None:
        identity = identity_of(os.getpid())
        assert identity is not None
        self.scheduler.service_started(
            service,
            pid=identity.pid,
            start_ticks=identity.start_ticks,
            at=datetime.now(UTC),
            is_adopted=is_adopted,
        )


@contextmanager
def watching(*specs: CheckSpec) -> Iterator[Watch]:
    watch = Watch(*specs)
    watch.scheduler.start()
    try:
        yield watch
    finally:
        watch.scheduler.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield server


def tcp(check: str, server: socket.socket, **options: Any) -> CheckSpec:
    port = server.getsockname()[1]
    fields = {"interval_s": 0.1, "timeout_s": 0.1, "fall": 2, "rise": 1, **options}
    return CheckSpec(id=check, kind=CheckKind.TCP, target=f"127.0.0.1:{port}", **fields)


def test_check_goes_up_and_down_with_its_target(listener: socket.socket) -> None:
    with watching(tcp("db", listener)) as watch:
        assert watch.next_change() == ("db", CheckState.UP)

        listener.close()

        assert watch.next_change() == ("db", CheckState.DOWN)
        assert "refused" in watch.scheduler.results()["db"].reason
        assert watch.scheduler.streaks()["db"].state is CheckState.DOWN


def test_readiness_is_seen_without_waiting_for_the_slot(listener: socket.socket) -> None:
    spec = tcp("api.ready", listener, service="api", interval_s=3600.0)
    with watching(spec) as watch:
        watch.start_service()

        assert watch.next_change() == ("api.ready", CheckState.UP)


def test_stopped_service_is_unknown_and_its_checks_rest(listener: socket.socket) -> None:
    with watching(tcp("api.live", listener, service="api")) as watch:
        watch.start_service()
        assert watch.next_change() == ("api.live", CheckState.UP)

        watch.scheduler.service_stopped("api")

        assert watch.next_change() == ("api.live", CheckState.UNKNOWN)
        with pytest.raises(queue.Empty):
            watch.changes.get(timeout=0.5)


def test_adopted_service_goes_on_from_its_restored_streak(listener: socket.socket) -> None:
    watch = Watch(tcp("api.live", listener, service="api"))
    since = datetime(2030, 1, 1, tzinfo=UTC)
    watch.scheduler.restore({"api.live": Streak(state=CheckState.UP, since=since)})
    watch.scheduler.start()
    try:
        watch.start_service(is_adopted=True)
        assert watch.results.get(timeout=PATIENCE_S).state is CheckState.UP
    finally:
        watch.scheduler.close()

    assert watch.changes.empty()
    assert watch.scheduler.streaks()["api.live"].since == since


def test_paused_check_rests_until_it_is_resumed(listener: socket.socket) -> None:
    with watching(tcp("db", listener)) as watch:
        assert watch.next_change() == ("db", CheckState.UP)

        watch.scheduler.pause("db")
        assert watch.next_change() == ("db", CheckState.UNKNOWN)

        watch.scheduler.resume("db")
        assert watch.next_change() == ("db", CheckState.UP)


def test_heartbeat_goes_down_in_silence_and_up_with_a_beat() -> None:
    spec = CheckSpec(
        id="api.live",
        kind=CheckKind.HEARTBEAT,
        service="api",
        interval_s=0.1,
        timeout_s=0.1,
        fall=1,
        rise=1,
        options={"age_max_s": 0.5},
    )
    with watching(spec) as watch:
        watch.start_service()
        watch.scheduler.service_ready("api", datetime.now(UTC))
        assert watch.next_change() == ("api.live", CheckState.UP)
        assert watch.next_change() == ("api.live", CheckState.DOWN)

        watch.scheduler.beat("api", datetime.now(UTC))

        assert watch.next_change() == ("api.live", CheckState.UP)


def test_heartbeat_of_a_service_that_is_not_ready_is_not_waited_for() -> None:
    spec = CheckSpec(
        id="api.live",
        kind=CheckKind.HEARTBEAT,
        service="api",
        interval_s=0.1,
        timeout_s=0.1,
        fall=1,
        options={"age_max_s": 0.1},
    )
    with watching(spec) as watch:
        watch.start_service()
        for _ in range(5):
            assert watch.results.get(timeout=PATIENCE_S).state is CheckState.UNKNOWN

        watch.scheduler.service_ready("api", datetime.now(UTC))

        assert watch.next_change() == ("api.live", CheckState.UP)
        assert watch.next_change() == ("api.live", CheckState.DOWN)


def test_old_beat_does_not_count_as_a_new_one() -> None:
    spec = CheckSpec(
        id="backup",
        kind=CheckKind.HEARTBEAT,
        target="backup",
        interval_s=0.1,
        timeout_s=0.1,
        fall=1,
        rise=1,
        options={"age_max_s": 3600.0},
    )
    watch = Watch(spec)
    watch.scheduler.beat("backup", datetime.now(UTC) - timedelta(hours=2))
    watch.scheduler.start()
    try:
        assert watch.next_change() == ("backup", CheckState.DOWN)
    finally:
        watch.scheduler.close()


def test_process_check_sees_that_another_process_has_the_pid() -> None:
    spec = CheckSpec(
        id="api.live",
        kind=CheckKind.PROCESS,
        service="api",
        interval_s=0.1,
        timeout_s=0.1,
        fall=1,
        rise=1,
    )
    with watching(spec) as watch:
        watch.start_service()
        assert watch.next_change() == ("api.live", CheckState.UP)

        watch.scheduler.service_started(
            "api", pid=os.getpid(), start_ticks=1, at=datetime.now(UTC), is_adopted=True
        )

        assert watch.next_change() == ("api.live", CheckState.DOWN)


def test_callback_that_fails_does_not_stop_the_rest(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    def on_change(change: CheckChanged) -> None:
        if change.check == "b":
            told.set()
        raise RuntimeError("callback")

    specs = [tcp("a", listener), tcp("b", listener, interval_s=0.3)]
    scheduler = Scheduler(specs, on_change=on_change)
    scheduler.start()
    try:
        assert told.wait(PATIENCE_S)
    finally:
        scheduler.close()

    assert "scheduler.callback_failed" in caplog.text


def test_healthy_check_goes_on_while_hundreds_hang(listener: socket.socket) -> None:
    """More checks hang than all threads together can look at, each for its whole interval.

    Looks are counted, as a busy machine makes all of them late: in one queue with the hanging
    ones, the healthy check would wait for most of them between two looks of its own.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        port = silent.getsockname()[1]
        hanging = [
            CheckSpec(
                id=f"hang-{i}",
                kind=CheckKind.HTTP,
                target=f"http://127.0.0.1:{port}/",
                interval_s=0.5,
                timeout_s=0.5,
                fall=1,
            )
            for i in range(3 * WORKERS_MAX)
        ]
        with watching(*hanging, tcp("healthy", listener, timeout_s=0.1, fall=1)) as watch:
            down: set[str] = set()
            while len(down) < len(hanging):
                result = watch.results.get(timeout=PATIENCE_S)
                if result.check != "healthy" and result.state is CheckState.DOWN:
                    down.add(result.check)

            looks = Counter[bool]()
            while looks[True] < 6:
                looks[watch.results.get(timeout=PATIENCE_S).check == "healthy"] += 1

            assert looks[False] < len(hanging)


def test_close_does_not_wait_for_a_look_that_hangs() -> None:
    def run(*args: object, **options: object) -> Any:
        entered.set()
        release.wait(PATIENCE_S * 2)
        raise OSError

    entered, release = threading.Event(), threading.Event()
    spec = CheckSpec(id="x", kind=CheckKind.COMMAND, command=("x",), interval_s=0.1, timeout_s=0.1)
    scheduler = Scheduler([spec], on_change=lambda change: None, run=run)
    scheduler.start()
    assert entered.wait(PATIENCE_S)

    begun_s = SYSTEM_CLOCK.monotonic()
    scheduler.close()
    took_s = SYSTEM_CLOCK.monotonic() - begun_s
    release.set()

    assert took_s < PATIENCE_S


def test_nothing_is_told_after_close(listener: socket.socket) -> None:
    with watching(tcp("db", listener)) as watch:
        watch.results.get(timeout=PATIENCE_S)
        watch.scheduler.close()
        while not watch.results.empty():
            watch.results.get()

        with pytest.raises(queue.Empty):
            watch.results.get(timeout=0.5)


def test_close_without_start_is_allowed() -> None:
    Scheduler([], on_change=lambda change: None).close()
