"""A brain mends with a command of the user's own, and takes a person's word on one."""

import asyncio
from pathlib import Path

from tests.support.braining import living, wait_until

CHECK = '[check.thing]\nfile = "thing"\ninterval = "100ms"\nfall = 1\nrise = 1\n'
MEND = """
[playbook.mend]
why = "The thing is made again."
match = { faults = ["check_down"] }
steps = [{ do = "command", command = ["touch", "thing"], timeout = "10s" }]
verify = { command = ["test", "-e", "thing"] }
"""


def test_a_command_mends_what_a_check_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with living(tmp_path, CHECK, MEND) as life:
            await wait_until("the end of the fault", lambda: life.recorded("fault.closed"))

            (closed,) = life.recorded("fault.closed")
            assert closed.body["outcome"] == "recovered"
            runs = [event.body["command"] for event in life.recorded("action.started")]
            assert runs == [["touch", "thing"], ["test", "-e", "thing"]]

    asyncio.run(scenario())
    assert (tmp_path / "thing").exists()


def test_a_plan_waits_for_a_person_and_is_then_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with living(tmp_path, CHECK, MEND, 'approval = "ask"\n') as life:
            await wait_until("a proposal", lambda: life.recorded("plan.proposed"))
            desk = life.brain._view.playbooks
            (waiting,) = desk.overview()["proposals"]
            assert not (tmp_path / "thing").exists()

            await desk.answer(waiting["plan_id"], is_approved=True, who="ann")
            await wait_until("the end of the fault", lambda: life.recorded("fault.closed"))

    asyncio.run(scenario())
    assert (tmp_path / "thing").exists()


HANGS = """
[playbook.hangs]
why = "It never comes to its end."
match = { faults = ["check_down"] }
steps = [{ do = "command", command = ["sleep", "600"], timeout = "200ms" }]
undo = [{ do = "command", command = ["touch", "undone"], timeout = "10s" }]
attempts = 1
"""


def test_a_remedy_that_hangs_is_killed_undone_and_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with living(tmp_path, CHECK, HANGS) as life:
            await wait_until("a call for a person", lambda: life.recorded("fault.escalated"))

            first, undo = life.recorded("plan.finished")
            assert first.body["detail"].startswith("sleep was killed after 200ms")
            assert undo.body["detail"] == "what it did is undone"
            (escalated,) = life.recorded("fault.escalated")
            assert "hangs was tried" in escalated.body["reason"]

    asyncio.run(scenario())
    assert (tmp_path / "undone").exists()
