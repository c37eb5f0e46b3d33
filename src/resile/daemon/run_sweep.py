"""The sweep of leftovers: runs whose supervisor died, and commits that were cut, once a minute."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resile.core.clock import Clock

if TYPE_CHECKING:
    from resile.contain import Recovered

logger = logging.getLogger(__name__)

SWEEP_S = 60.0
"""A run without its supervisor is killed by the kernel at once; what is swept is what it changed."""


class RunSweep:
    """Sweeps until it is cancelled. Lives on the brain's event loop.

    Args:
        recover: Brings what is left to its end, and tells what it did; called in a thread.
        say: Called with one line for each run that was brought to its end.
        sweep_s: Between two sweeps. Default 60 s.
    """

    def __init__(
        self,
        recover: "Callable[[], Sequence[Recovered]]",
        *,
        say: Callable[[str], None],
        sweep_s: float = SWEEP_S,
    ) -> None:
        self._recover = recover
        self._say = say
        self._sweep_s = sweep_s
        self._trouble = ""

    async def run(self) -> None:
        """Sweep now and then; what fails is logged once, and tried again."""
        while True:
            try:
                done = await asyncio.to_thread(self._recover)
            except Exception as exc:  # noqa: BLE001 - the next sweep may work; the brain goes on
                self._note(str(exc) or type(exc).__name__)
            else:
                self._note("; ".join(f"{d.run_id}: {d.detail}" for d in done if d.did == "failed"))
                for item in done:
                    if item.did != "failed":
                        self._say(f"{item.run_id}: {item.did}: {item.detail}")
            await asyncio.sleep(self._sweep_s)

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.error("runs.not_swept", extra={"reason": trouble})
        self._trouble = trouble


def recover_left(state: Path, environ: Mapping[str, str], clock: Clock) -> "Sequence[Recovered]":
    """Finish or undo what is left of contained runs. Blocks; its modules take a while to load."""
    from resile.contain import Host, Runs, recover_runs, runs_folder

    runs = Runs(runs_folder(environ))
    with contextlib.closing(
        Host(runs=runs, journal=state / "journal", environ=environ, clock=clock)
    ) as host:
        return recover_runs(host)
