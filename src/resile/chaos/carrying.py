"""What a carrier knows of the fault that it carries, and when it is over."""

import os
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from resile.chaos.ledger import Ledger
from resile.chaos.model import UndoRecord
from resile.core.clock import Clock
from resile.core.process import boot_id, is_alive

LOOK_S: Final = 0.1
"""Between two looks at whether it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    """One carrier's view of its fault. Safe to share between threads.

    Args:
        record: The fault.
        ledger: Where it stands.
        number: Which of its carriers this is; only the first says something.
        clock: Measures its time.
        chance: For what happens now and then.
    """

    record: UndoRecord
    ledger: Ledger
    number: int
    clock: Clock
    chance: random.Random = field(default_factory=random.Random)

    def is_over(self) -> bool:
        """Tell whether it must end: its time is over, it was undone, its engine died, or faults are forbidden."""
        owner = self.record.owner
        return (
            self.clock.monotonic() >= self.record.until_s
            or self.record.boot_id != boot_id()
            or not self.ledger.is_active(self.record.fault_id)
            or self.ledger.is_stopped()
            or (owner is not None and not is_alive(owner))
        )

    def say(self, state: Mapping[str, Any]) -> None:
        """Tell how the work goes."""
        if self.number == 0:
            self.ledger.say(self.record.fault_id, state)


def end_with(carrying: Carrying) -> threading.Thread:
    """End this process when its fault is over, whatever its other threads are busy with."""

    def wait() -> None:
        while not carrying.is_over():
            carrying.clock.sleep(LOOK_S)
        os._exit(0)

    thread = threading.Thread(target=wait, name="end", daemon=True)
    thread.start()
    return thread
