"""The last look at real processes that hang."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import ActionStarted, FaultOpened, Payload, ProcessStarted, announce
from resile.core.vocabulary import ActionKind, FaultKind, Priority
from resile.daemon.hangs import Hangs
from resile.health.ends import find_trace
from resile.recover import ServiceSpec, SystemSpec, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HANG = "import time\ndef stuck():\n    print('ready', flush=True)\n    time.sleep(600)\nstuck()\n"
DEAF = "import signal\nsignal.signal(signal.SIGABRT, lambda *_: None)\n" + HANG
PATIENCE_S = 20


class Service:
    """A process of a service `api`, in a world that knows of its hang."""

    def __init__(self, code: str, folder: Path, *, has_faulthandler: bool = True) -> None:
        switch = {"PYTHONFAULTHANDLER": "1"} if has_faulthandler else {}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **switch},
            cwd=folder,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        resource.prlimit(self.process.pid, resource.RLIMIT_CORE, _core_limit(self.process.pid))
        self.world = World(SystemSpec(services={"api": ServiceSpec(name="api")}))
        pid = self.process.pid
        self.tell(ProcessStarted(service="api", generation=1, pid=pid, start_ticks=1))
        self.hangs = Hangs(
            self.world, members=lambda _name, _generation: (pid,), clock=SYSTEM_CLOCK
        )

    def tell(self, payload: Payload) -> None:
        self.world.apply(announce(payload, at=NOW, actor="test"))

    def look(self, kind: FaultKind = FaultKind.HANG, target: str = "service/api") -> None:
        self.tell(
            FaultOpened(
                fault_id="flt_1",
                fault=kind,
                target=target,
                priority=Priority.P1,
                began_at=NOW,
                reason="api.live: no answer",
            )
        )
        kill = ActionStarted(
            action_id="act_1",
            action=ActionKind.KILL,
            target="service/api",
            generation=1,
            fault_id="flt_1",
        )
        asyncio.run(self.hangs.look(kill))

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def said(self) -> list[str]:
        self.process.kill()
        assert self.process.stdout is not None
        return self.process.stdout.read().splitlines()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


def _core_limit(pid: int) -> tuple[int, int]:
    _, most = resource.prlimit(pid, resource.RLIMIT_CORE)
    return most, most


@pytest.fixture
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    code, has_faulthandler = getattr(request, "param", (HANG, True))
    made = Service(code, tmp_path, has_faulthandler=has_faulthandler)
    yield made
    made.end()


def test_python_program_that_hangs_writes_where(service: Service, tmp_path: Path) -> None:
    service.look()

    assert service.process.wait(PATIENCE_S) == -signal.SIGABRT
    trace = find_trace(service.said())
    assert trace is not None
    assert trace.place == "<string>:stuck"
    assert list(tmp_path.iterdir()) == [], "it left a core"


def test_program_that_was_stopped_by_a_signal_writes_where(service: Service) -> None:
    service.process.send_signal(signal.SIGSTOP)

    service.look()

    assert service.process.wait(PATIENCE_S) == -signal.SIGABRT
    assert find_trace(service.said()) is not None


@pytest.mark.parametrize("service", [(HANG, False)], indirect=True)
def test_program_that_would_say_nothing_is_left_to_the_kill(service: Service) -> None:
    service.look()

    assert service.is_alive()
    (stack,) = service.hangs.take("api", 1)
    assert stack.pid == service.process.pid
    assert stack.threads[0].state in {"S", "R", "D"}  # On a busy machine it may just run.


@pytest.mark.parametrize("service", [(DEAF, False)], indirect=True)
def test_program_that_does_not_end_when_asked_is_not_waited_for_long(service: Service) -> None:
    service.look()

    assert service.is_alive()


def test_what_was_seen_is_given_once_and_for_its_generation(service: Service) -> None:
    service.look()

    assert service.hangs.take("api", 2) == ()
    assert service.hangs.take("api", 1) == ()


@pytest.mark.parametrize(
    ("kind", "target"), [(FaultKind.CRASH, "service/api"), (FaultKind.HANG, "service/db")]
)
def test_what_is_killed_for_another_reason_is_not_looked_at(
    service: Service, kind: FaultKind, target: str
) -> None:
    service.look(kind, target)

    assert service.is_alive()
    assert service.hangs.take("api", 1) == ()


def test_look_that_fails_does_not_keep_the_kill_from_being_done(service: Service) -> None:
    def refuse(_name: str, _generation: int) -> tuple[int, ...]:
        raise PermissionError

    service.hangs = Hangs(service.world, members=refuse, clock=SYSTEM_CLOCK)

    service.look()

    assert service.is_alive()
