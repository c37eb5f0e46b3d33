"""Switches are set, told to other processes, and followed where a command changed them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import EmergencyBegun, EmergencyCarriedOut, Payload, SwitchSet
from resile.core.metrics import Registry
from resile.core.switch_file import read_switches, switches_file, write_switches
from resile.core.switches import OFF_S_MAX, Switches
from resile.core.vocabulary import Part
from resile.daemon import emergency, switch_desk
from resile.daemon.playbooks_desk import PlaybooksDesk
from resile.daemon.switch_desk import SwitchDesk
from resile.daemon.switch_measures import SwitchMeasures
from resile.errors import OperationError, RejectedError
from resile.testing import FakeClock

WAIT_S = 10.0


class ShellLoop:
    """Journals into a simulated system."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    async def record(self, payload: Payload, *, actor: str = "brain") -> None:
        self.shell.tell(payload, actor=actor)

    async def record_all(self, payloads: Sequence[Payload], *, actor: str = "brain") -> None:
        self.shell.tell(*payloads, actor=actor)


class Scene:
    """A brain's desk over a simulated system, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.shell = Shell(system(service("a"))).begin()
        self.clock = FakeClock(start=self.shell.now)
        self.desk = SwitchDesk(
            self.state,
            root=folder,
            runs=folder / "runs",
            world=self.shell.world,
            loop=ShellLoop(self.shell),  # type: ignore[arg-type]
            clock=self.clock,
        )

    def set(self, *words: str, is_on: bool = False, for_s: float | None = 60.0) -> None:
        asyncio.run(self.desk.set(words, is_on=is_on, for_s=for_s, why="tests", who="ann"))

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Let the desk work until something is so."""

        async def work() -> None:
            task = asyncio.create_task(self.desk.run())
            try:
                async with asyncio.timeout(WAIT_S):
                    while not is_done():  # noqa: ASYNC110 - the desk tells nobody
                        await asyncio.sleep(0.005)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        asyncio.run(work())

    def kinds(self) -> list[str]:
        return [event.kind for event in self.shell.journal]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_done(scene: Scene) -> None:
    with pytest.raises(RejectedError) as told:
        scene.set("snapshot", "playbook/restrat", for_s=OFF_S_MAX + 1)

    for part in ("mean snapshots?", "mean playbook/restart?", "1s to 30d"):
        assert part in told.value.message
    assert "switch.set" not in scene.kinds()


def test_other_processes_know_it_when_it_is_set(scene: Scene) -> None:
    scene.set("chaos", "playbook/restart")

    assert read_switches(scene.state) == scene.shell.world.switches
    overview = scene.desk.overview()
    assert [one["word"] for one in overview["switches"]] == ["chaos", "playbook/restart"]

    scene.set("chaos", is_on=True)
    assert not read_switches(scene.state).is_off(Part.CHAOS, now=scene.shell.now)


def test_playbook_that_nobody_declares_any_more_can_be_switched_on(scene: Scene) -> None:
    until = scene.shell.now + timedelta(hours=1)
    scene.shell.tell(SwitchSet(part=Part.PLAYBOOK, name="gone", is_on=False, until=until))

    scene.set("playbook/gone", is_on=True)

    assert scene.desk.overview()["switches"] == []


def test_what_cannot_be_written_is_an_error_and_is_off_all_the_same(scene: Scene) -> None:
    scene.state.write_bytes(b"no folder")

    with pytest.raises(OperationError):
        scene.set("chaos")

    assert scene.shell.world.switches.is_off(Part.CHAOS, now=scene.shell.now)


def test_switch_that_ends_is_told_to_other_processes(scene: Scene) -> None:
    scene.set("chaos", for_s=5.0)

    scene.shell.run(6)
    scene.desk.follow()

    scene.run_until(lambda: read_switches(scene.state).offs == ())


def test_nothing_is_written_where_nothing_was_ever_off(scene: Scene) -> None:
    scene.run_until(lambda: scene.desk._written is not None)

    assert not switches_file(scene.state).exists()


def test_what_a_command_changed_while_no_brain_answered_is_taken_over(scene: Scene) -> None:
    scene.set("scrub", "snapshots")
    now = scene.shell.now + timedelta(seconds=1)
    changed = scene.shell.world.switches
    for payload in (
        SwitchSet(part=Part.SCRUB, is_on=True),
        SwitchSet(part=Part.RUNS, is_on=False, until=now + timedelta(hours=1), why="x"),
        EmergencyBegun(is_stopping_services=True, why="intruder", who="bob"),
    ):
        changed = changed.apply(payload, now)
    changed = changed.apply(EmergencyCarriedOut(killed=0, undone=0), now)
    write_switches(scene.state, changed)

    scene.run_until(lambda: "emergency.carried_out" in scene.kinds())

    found = scene.shell.world.switches
    assert {off.word for off in found.offs} == {off.word for off in changed.offs}
    assert found.emergency is not None
    assert (found.emergency.who, found.emergency.is_stopping_services) == ("bob", True)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_older_or_damaged_file_is_written_anew(scene: Scene, is_damaged: bool) -> None:
    scene.set("scrub")
    write_switches(scene.state, Switches())
    if is_damaged:
        switches_file(scene.state).write_bytes(b"damaged")

    scene.run_until(lambda: b"scrub" in switches_file(scene.state).read_bytes())

    assert read_switches(scene.state) == scene.shell.world.switches


def test_emergency_stop_is_carried_out_and_what_it_did_is_journalled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = EmergencyCarriedOut(killed=2, undone=1, problems=("one does not die",))
    monkeypatch.setattr(emergency, "carry_out", lambda *_args, **_more: done)

    asyncio.run(scene.desk.stop(is_stopping_services=False, why="intruder", who="ann"))
    assert scene.desk.overview()["emergency"]["is_carried_out"] is False
    scene.run_until(lambda: "emergency.carried_out" in scene.kinds())

    stop = scene.desk.overview()["emergency"]
    assert (stop["killed"], stop["undone"], stop["problems"]) == (2, 1, ["one does not die"])


def test_emergency_stop_is_carried_out_though_nothing_can_be_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        emergency, "carry_out", lambda *_args, **_more: EmergencyCarriedOut(killed=0, undone=0)
    )
    scene.state.write_bytes(b"no folder")
    scene.shell.tell(EmergencyBegun(is_stopping_services=False, who="ann"))

    scene.run_until(lambda: "emergency.carried_out" in scene.kinds())


def test_emergency_stop_that_a_dead_brain_had_begun_is_carried_out_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.shell.tell(EmergencyBegun(is_stopping_services=False, who="ann"))
    calls = []

    def carry_out(*_args: object, **_more: object) -> EmergencyCarriedOut:
        calls.append(1)
        if len(calls) == 1:
            raise OperationError("not now")
        return EmergencyCarriedOut(killed=0, undone=0)

    monkeypatch.setattr(emergency, "carry_out", carry_out)
    monkeypatch.setattr(switch_desk, "AGAIN_S", 0.01)

    scene.run_until(lambda: "emergency.carried_out" in scene.kinds())

    assert len(calls) == 2


def test_playbook_is_not_used_while_it_or_recovery_is_off(scene: Scene) -> None:
    books = PlaybooksDesk(
        world=scene.shell.world,
        loop=ShellLoop(scene.shell),  # type: ignore[arg-type]
        clock=scene.clock,
    )
    for word in ("playbook/restart", "recovery"):
        scene.set(word)
        with pytest.raises(RejectedError, match=f"{word} is switched off"):
            asyncio.run(books.run("restart", target="service/a", who="ann"))
        scene.set(word, is_on=True)


def test_gauge_tells_how_much_is_off(scene: Scene) -> None:
    registry = Registry()
    measures = SwitchMeasures(registry)
    scene.set("chaos", "playbook/restart", "playbook/replace_hung")

    measures.take(scene.shell.world.switches, scene.shell.now)

    text = registry.text()
    assert 'resile_switches_off_count{part="chaos"} 1' in text
    assert 'resile_switches_off_count{part="playbook"} 2' in text
    assert 'resile_switches_off_count{part="scrub"} 0' in text


def test_changes_between_two_states_make_the_one_into_the_other(scene: Scene) -> None:
    scene.set("chaos", "scrub")
    before = scene.shell.world.switches
    now = scene.shell.now
    after = before.apply(SwitchSet(part=Part.CHAOS, is_on=True), now)
    after = after.apply(EmergencyBegun(is_stopping_services=True, why="x", who="y"), now)

    found = before
    for payload in before.changes_to(after):
        found = found.apply(payload, now)

    assert replace(found, offs=()) == replace(after, offs=())
    assert set(found.offs) == set(after.offs)
    assert list(after.changes_to(after)) == []
