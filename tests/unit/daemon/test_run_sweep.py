"""The brain's sweep of leftovers goes on whatever happens, and does not repeat itself."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from resile.contain import Recovered
from resile.daemon.run_sweep import RunSweep
from resile.errors import CgroupError

Answer = list[Recovered] | Exception


def sweep(answers: list[Answer]) -> list[str]:
    """Let it sweep until the answers are used up; give what it said."""
    said: list[str] = []

    async def story() -> None:
        over = asyncio.Event()
        recover = taking(answers, lambda: events.call_soon_threadsafe(over.set))
        events = asyncio.get_running_loop()
        task = asyncio.create_task(RunSweep(recover, say=said.append, sweep_s=0).run())
        await asyncio.wait_for(over.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    return said


def taking(answers: list[Answer], on_over: Callable[[], object]) -> Callable[[], list[Recovered]]:
    left = iter(answers)

    def recover() -> list[Recovered]:
        answer = next(left, None)
        if answer is None:
            on_over()
            return []
        if isinstance(answer, Exception):
            raise answer
        return answer

    return recover


def done(did: str) -> Recovered:
    return Recovered(run_id="run_1", did=did, detail="as it was")


def test_what_was_recovered_is_said() -> None:
    assert sweep([[], [done("undone")], []]) == ["run_1: undone: as it was"]


def test_the_same_trouble_is_logged_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    trouble = [CgroupError("it hangs"), CgroupError("it hangs"), [done("failed")], [done("failed")]]

    said = sweep(
        [*trouble, ImportError("no such module"), [done("finished")], CgroupError("it hangs")]
    )

    reasons = [vars(record)["reason"] for record in caplog.records]
    assert reasons == ["it hangs", "run_1: as it was", "no such module", "it hangs"]
    assert said == ["run_1: finished: as it was"]
