"""What remedies ask of others, and what they say where nothing can be done."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.shell import EPOCH
from tests.support.systems import service, system

from resile.core.config import load_config
from resile.core.events import (
    ActionStarted,
    FaultOpened,
    OperatorRequested,
    Payload,
    RunsHeld,
    SymptomChanged,
    announce,
)
from resile.core.journal import open_journal
from resile.core.vocabulary import (
    ActionKind,
    FaultKind,
    Priority,
    RotationReason,
    Verb,
)
from resile.daemon.remedies.declarations import Declarations
from resile.daemon.remedies.explaining import Explainer
from resile.daemon.remedies.freeing import FoundLock, Freeing
from resile.daemon.remedies.remedies import Done, Hands, Remedies
from resile.errors import OperationError
from resile.recover import OpenFault, World
from resile.testing import FakeClock

CONFIG = """
[service.a]
command = ["run-a"]
[service.b]
command = ["run-b"]
[secret."db/a"]
services = ["a"]
rotator = { kind = "random" }
[secret."fixed"]
services = ["a", "b"]
"""


class Runs:
    def __init__(self) -> None:
        self.known: list[dict[str, Any]] = [
            {"id": "run_1", "profile": "agent", "state": "running"},
            {"id": "run_2", "profile": "agent", "state": "ready"},
            {"id": "run_3", "profile": "other", "state": "running"},
        ]
        self.killed: list[str] = []
        self.is_held = False

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        return self.known

    async def kill(self, run_id: str, *, who: str) -> bool:
        self.killed.append(run_id)
        return True

    async def hold(self, *, who: str, why: str) -> Sequence[Payload]:
        was_held, self.is_held = self.is_held, True
        return () if was_held else (RunsHeld(who=who, why=why),)


class Secrets:
    def __init__(self) -> None:
        self.rotated: list[tuple[str, RotationReason]] = []

    async def rotate(
        self, name: str, *, who: str, reason: RotationReason, why: str
    ) -> Mapping[str, Any]:
        self.rotated.append((name, reason))
        return {}


class Found(Freeing):
    def __init__(self) -> None:
        """Find always the same."""

    def find_lock(self, fault: OpenFault) -> FoundLock:
        return FoundLock(service="b", told="b holds it")


class Scene:
    def __init__(self, folder: Path, text: str = CONFIG) -> None:
        self.folder = folder
        (folder / "resile.toml").write_text(text)
        config = load_config(folder / "resile.toml", environ={})
        self.world = World(system(service("a"), service("b")))
        self.runs, self.secrets = Runs(), Secrets()
        self.launched: list[str] = []
        self.looks = 0
        self.journal = open_journal(folder / "journal")
        self.remedies = Remedies(
            config,
            world=self.world,
            state=folder,
            journal=self.journal,
            hands=Hands(
                runs=self.runs,
                secrets=self.secrets,
                relaunch=lambda config: self.launched.append(config.service["a"].command[0]),
                look_again=self._look_again,
            ),
            freeing=Found(),
            explainer=Explainer(folders={}, folder=folder),
            declarations=Declarations(config, state=folder),
            clock=FakeClock(),
        )

    def _look_again(self) -> None:
        self.looks += 1

    def wrong(self, kind: FaultKind, target: str, cause: str = "") -> None:
        opened = FaultOpened(
            fault_id="flt_1",
            fault=kind,
            target=target,
            priority=Priority.P1,
            began_at=EPOCH,
            reason="it is wrong",
            evidence={"cause": cause},
        )
        self.world.fold(opened, EPOCH)
        self.journal.append(announce(opened, at=EPOCH, actor="brain"))

    def do(self, action: ActionKind, target: str) -> Done:
        started = ActionStarted(action_id="act_1", action=action, target=target, fault_id="flt_1")
        return asyncio.run(self.remedies.perform(started))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_secrets_that_can_be_rotated_are_and_others_are_left(scene: Scene) -> None:
    scene.wrong(FaultKind.NOT_READY, "service/a", "secret")

    _, told = scene.do(ActionKind.ROTATE_SECRET, "service/a")

    assert scene.secrets.rotated == [("db/a", RotationReason.ANOMALY)]
    assert told == "rotated db/a"


def test_service_whose_secrets_nobody_rotates_is_for_a_person(scene: Scene) -> None:
    scene.wrong(FaultKind.NOT_READY, "service/b", "certificate")

    with pytest.raises(OperationError) as refused:
        scene.do(ActionKind.ROTATE_SECRET, "service/b")

    assert "none of fixed has a rotator, and b declares no `renew`" in refused.value.message
    assert "resile secrets put" in refused.value.hint


def test_holder_of_a_lock_is_restarted_in_order(scene: Scene) -> None:
    scene.wrong(FaultKind.CHECK_DOWN, "check/db", "lock")

    (order,), told = scene.do(ActionKind.FREE_LOCK, "check/db")

    assert isinstance(order, OperatorRequested)
    assert (order.verb, order.services) == (Verb.RESTART, ("b",))
    assert told == "b holds it"


def test_service_that_is_frozen_stays_stopped(scene: Scene) -> None:
    scene.wrong(FaultKind.CRASH, "service/a")

    (order,), told = scene.do(ActionKind.FREEZE, "service/a")

    assert isinstance(order, OperatorRequested)
    assert (order.verb, order.services) == (Verb.STOP, ("a",))
    assert "resile start a" in told


def test_runs_of_the_same_limits_are_killed_and_new_ones_held(scene: Scene) -> None:
    scene.wrong(FaultKind.ESCAPE_ATTEMPT, "profile/agent")

    _, killed = scene.do(ActionKind.KILL_RUNS, "profile/agent")
    (held,), _ = scene.do(ActionKind.FREEZE, "profile/agent")

    assert scene.runs.killed == ["run_1"]
    assert killed.startswith("1 contained run was killed")
    assert isinstance(held, RunsHeld)
    assert scene.do(ActionKind.FREEZE, "profile/agent")[0] == ()


def test_evidence_is_what_the_journal_knows(scene: Scene) -> None:
    scene.wrong(FaultKind.ESCAPE_ATTEMPT, "profile/agent")

    _, told = scene.do(ActionKind.COLLECT, "profile/agent")

    path = scene.folder / "evidence" / "flt_1.json"
    assert str(path) in told
    data = json.loads(path.read_text())
    assert [one["event"]["kind"] for one in data["records"]] == ["fault.opened"]
    assert data["fault"]["target"] == "profile/agent"
    assert path.stat().st_mode & 0o077 == 0


def test_clock_that_was_set_has_everything_looked_at_and_is_over(scene: Scene) -> None:
    scene.wrong(FaultKind.CLOCK_JUMP, "machine")

    (over,), _ = scene.do(ActionKind.REARM, "machine")

    assert scene.looks == 1
    assert isinstance(over, SymptomChanged)
    assert not over.is_there


def test_roll_back_counts_for_the_next_start(tmp_path: Path) -> None:
    before = Scene(tmp_path)
    before.world.change("a", pid=1, ready_at=EPOCH)
    config = load_config(tmp_path / "resile.toml", environ={})
    Declarations(config, state=tmp_path).note_proven(before.world, FakeClock().now())
    before.journal.close()
    scene = Scene(tmp_path, CONFIG.replace("run-a", "broken"))
    scene.wrong(FaultKind.CRASH_LOOP, "service/a")

    _, told = scene.do(ActionKind.ROLL_BACK, "service/a")

    assert scene.launched == ["run-a"]
    assert "run-a" in told


@pytest.mark.parametrize("action", [ActionKind.ROLL_BACK, ActionKind.ROTATE_SECRET])
def test_what_works_on_a_service_refuses_anything_else(scene: Scene, action: ActionKind) -> None:
    scene.wrong(FaultKind.CHECK_DOWN, "check/db")

    with pytest.raises(OperationError, match="check/db is no service"):
        scene.do(action, "check/db")


def test_explanation_is_always_for_a_person(scene: Scene) -> None:
    scene.wrong(FaultKind.NOT_READY, "service/a")

    with pytest.raises(OperationError, match="it is wrong; see resile logs a"):
        scene.do(ActionKind.EXPLAIN, "service/a")


def test_operator_may_ask_though_nothing_is_known_to_be_wrong(scene: Scene) -> None:
    (order,), _ = scene.do(ActionKind.FREEZE, "service/a")

    assert isinstance(order, OperatorRequested)
    assert order.services == ("a",)
    with pytest.raises(OperationError, match="an operator asked for it"):
        scene.do(ActionKind.EXPLAIN, "service/a")
