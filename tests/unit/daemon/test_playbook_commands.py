"""Commands of playbooks: what they get, what came of them, and what a new brain does."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import ActionStarted
from resile.core.vocabulary import ActionKind
from resile.daemon.playbook_commands import UNKNOWN, PlaybookCommands, in_daemon_thread
from resile.errors import OperationError, SpawnError


def action(
    *command: str, timeout_s: float = 20, is_repeatable: bool = False, action_id: str = "act_7"
) -> ActionStarted:
    return ActionStarted(
        action_id=action_id,
        action=ActionKind.RUN,
        target="service/api",
        plan_id="pln_1",
        fault_id="flt_1",
        command=command,
        timeout_s=timeout_s,
        is_repeatable=is_repeatable,
    )


@pytest.fixture
def commands(tmp_path: Path) -> PlaybookCommands:
    return PlaybookCommands(folder=tmp_path, environ={"PATH": "/usr/bin:/bin", "OURS": "1"})


def test_a_command_that_cannot_be_started_is_told(commands: PlaybookCommands) -> None:
    with pytest.raises(SpawnError):
        commands.run(action("no-such-program"))


def test_a_failure_is_told_with_the_last_line(commands: PlaybookCommands) -> None:
    with pytest.raises(OperationError, match=r"sh exited with 3: no room") as caught:
        commands.run(action("sh", "-c", "echo hello; echo no room >&2; exit 3"))

    assert "hello" not in caught.value.message


def test_a_command_is_killed_when_its_time_is_over(commands: PlaybookCommands) -> None:
    with pytest.raises(OperationError, match=r"sleep was killed after 100ms"):
        commands.run(action("sleep", "60", timeout_s=0.1))


def test_a_command_runs_in_the_folder_and_knows_what_it_is_for(
    commands: PlaybookCommands, tmp_path: Path
) -> None:
    told = commands.run(action("sh", "-c", "env > seen"))

    seen = (tmp_path / "seen").read_text().splitlines()
    assert told == "sh exited with 0"
    assert {
        "OURS=1",
        "RESILE_TARGET=service/api",
        "RESILE_PLAN=pln_1",
        "RESILE_FAULT=flt_1",
        "RESILE_ACTION=act_7",
    } <= set(seen)


def test_a_new_brain_does_not_repeat_what_may_not_be_repeated(
    commands: PlaybookCommands, tmp_path: Path
) -> None:
    told = commands.resume(action("touch", "done"), begun_s=1.0)

    assert told == UNKNOWN
    assert not (tmp_path / "done").exists()


def test_a_new_brain_repeats_what_may_be_repeated(
    commands: PlaybookCommands, tmp_path: Path
) -> None:
    commands.resume(action("touch", "done", is_repeatable=True), begun_s=1.0)

    assert (tmp_path / "done").exists()


def test_a_new_brain_ends_what_is_left_of_a_command_when_its_time_is_over(
    commands: PlaybookCommands,
) -> None:
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={"RESILE_ACTION": "act_left"}
    )
    try:
        begun_s = SYSTEM_CLOCK.monotonic()
        commands.resume(action("true", action_id="act_left", timeout_s=0.2), begun_s=0.0)

        assert left.wait(timeout=20) == -9
        assert SYSTEM_CLOCK.monotonic() - begun_s < 20
    finally:
        left.kill()
        left.wait()


def test_an_error_in_the_thread_is_raised_where_it_is_waited_for() -> None:
    def fail() -> str:
        raise OperationError("no")

    with pytest.raises(OperationError, match="no"):
        asyncio.run(in_daemon_thread(fail))
    assert asyncio.run(in_daemon_thread(lambda: "yes")) == "yes"
