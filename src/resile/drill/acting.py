"""What scenarios do: faults of the catalogue, and rotations of secrets."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from resile.chaos import Host, Injector, UndoRecord, Wish, find_fault, read_arguments
from resile.chaos.model import TTL_S_MAX, Facts
from resile.chaos.story import Tell
from resile.chaos.targets import BRAIN
from resile.core.clock import Clock
from resile.core.events import FaultInjected, Payload
from resile.drill.decide import give_up_s
from resile.drill.declared import Declared
from resile.drill.model import Aim, Cell, Proof
from resile.drill.port import Begun
from resile.errors import ConfigError, ResileError

TTL_MORE_S: Final = 60.0
"""The drill itself ends a fault; its time to live is for a drill that cannot."""
JOIN_S: Final = 60.0
_KILL: Final = "process.kill"
_SEEN_BY: Final = "seen_by"
_LIMITED: Final = (Aim.LIMITED, Aim.LEAKING)
_LARGEST: Final = (Aim.STORE, Aim.PROTECTED)
Rotate = Callable[[str], dict[str, Any]]
"""Rotates a secret to its end, and gives the report. Blocks. Raises ResileError."""


class FaultAct:
    """Faults on purpose, all at once; each further `begin` does them once more. Not thread-safe.

    Args:
        wishes: The faults; the last one is what the scenario is about.
        host: The machine.
        injector_of: Makes what begins and ends them, which tells the function that it is given.
        tell: Hears of them.
    """

    subject = ""

    def __init__(
        self,
        wishes: Sequence[Wish],
        host: Host,
        injector_of: Callable[[Tell], Injector],
        *,
        tell: Tell,
    ) -> None:
        self._wishes = wishes
        self._host = host
        self._tell = tell
        self._injector = injector_of(self._hear)
        self._records: list[UndoRecord] = []
        self._begun = now(host.clock)

    def begin(self) -> Begun:
        """Begin them; what was over at once is forgotten first.

        Raises:
            ResileError: If one cannot be begun; those before it are active.
        """
        self.end("it is done once more")
        # Who is to be hit is found while there is somebody to ask.
        for wish, facts in [(one, self._facts(one)) for one in self._wishes]:
            self._records.append(self._injector.inject(wish, facts=facts))
        return self._begun

    def proof(self) -> tuple[bool, str]:
        """Look whether all are active."""
        if not self._records:
            return False, "it was not begun"
        found = [
            find_fault(one.fault, self._host.faults).verify_active(one, self._host)
            for one in self._records
        ]
        return all(one.holds for one in found), "; ".join(one.detail for one in found)

    def is_over(self) -> bool:
        """A fault is held until it is taken back."""
        return False

    def failure(self) -> str:
        """Whatever comes of it shows in the system."""
        return ""

    def end(self, why: str) -> str:
        """Take back what was begun, the last first."""
        left = []
        while self._records:
            ending = self._injector.end(self._records.pop(), why=why)
            left += [] if ending.is_gone else [ending.detail]
        return "; ".join(left)

    def _facts(self, wish: Wish) -> Facts:
        return find_fault(wish.fault, self._host.faults).plan(wish, self._host)

    def _hear(self, payload: Payload) -> None:
        """Stamp the moment before the last fault: what was prepared for it is no part of it."""
        if isinstance(payload, FaultInjected):
            self._begun = now(self._host.clock)
        self._tell(payload)


class RotateAct:
    """A rotation of a secret, in a thread of its own. Not thread-safe.

    Args:
        name: The secret.
        rotate: Does it.
        clock: Stamps it.
    """

    subject = ""

    def __init__(self, name: str, rotate: Rotate, *, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._rotate = rotate
        self._report: dict[str, Any] | None = None
        self._error = ""
        self._thread = threading.Thread(target=self._run, name="drill-rotate", daemon=True)

    def begin(self) -> Begun:
        """Begin it."""
        begun = now(self._clock)
        self._thread.start()
        return begun

    def proof(self) -> tuple[bool, str]:
        """Look whether it came to its end."""
        if self._report is None:
            return False, self._error or "it goes on"
        return True, f"it {self._report['outcome'] or 'goes on'}"

    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return not self._thread.is_alive()

    def failure(self) -> str:
        """Tell why it is not rotated."""
        if self._report is None:
            return self._error or "the rotation has not ended"
        outcome = self._report["outcome"]
        return "" if outcome == "rotated" else f"the rotation {outcome or 'has not ended'}"

    def end(self, why: str) -> str:  # noqa: ARG002 - the port's
        """Wait for it: a rotation is not cut, and if this process dies it goes on."""
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
        return ""

    def _run(self) -> None:
        try:
            self._report = self._rotate(self._name)
        except ResileError as exc:
            self._error = exc.message


def now(clock: Clock) -> Begun:
    """Stamp this moment."""
    return Begun(at=clock.now(), at_s=clock.monotonic())


def wishes_of(cell: Cell, declared: Declared, host: Host) -> tuple[Wish, ...]:
    """Say which faults of the catalogue a cell is; the last one is what it is about.

    Raises:
        ConfigError: If there is no such fault, or nothing to hit.
    """
    wish = wish_of(cell, declared, host)
    if not cell.scenario.is_unwatched:
        return (wish,)
    return (Wish(fault=_KILL, target=BRAIN, ttl_s=wish.ttl_s), wish)


def wish_of(cell: Cell, declared: Declared, host: Host) -> Wish:
    """Say which fault of the catalogue a cell is.

    Raises:
        ConfigError: If there is no such fault, or nothing to hit.
    """
    scenario = cell.scenario
    fault = find_fault(scenario.fault, host.faults)
    given = dict(scenario.arguments)
    service = declared.service(cell.target)
    if scenario.aim in _LIMITED and service is not None and service.memory_bytes:
        given["size"] = service.memory_bytes
    if (
        _SEEN_BY in {one.name for one in fault.parameters}
        and declared.load
        and declared.load.service
    ):
        # A service that gets secrets as files has mounts of its own: ours need not arrive there.
        given[_SEEN_BY] = f"service/{declared.load.service}"
    target = cell.target
    if scenario.aim is Aim.LISTENING and service is not None:
        given["holder"], target = target, service.address
    elif scenario.aim is Aim.REACHED and service is not None and declared.load is not None:
        # Packets are told by their IPv4 address. Where the two speak IPv6, nothing is proven.
        target = service.address.replace("localhost:", "127.0.0.1:")
        given["client"] = declared.load.service
    elif scenario.aim in _LARGEST:
        target = largest_file(host.root / target)
    arguments, problems = read_arguments(fault.parameters, given)
    if problems:
        raise ConfigError(f"{cell.name} cannot be done so", problems=tuple(problems))
    # What is to be borne lasts until it is proven, or given up.
    lasts_s = give_up_s(scenario) if scenario.proof is Proof.BORNE else 0.0
    ttl_s = min(TTL_S_MAX, max(scenario.hold_s, lasts_s) + TTL_MORE_S)
    return Wish(fault=fault.name, target=target, arguments=arguments, ttl_s=ttl_s)


def largest_file(folder: Path) -> str:
    """Give the largest file that is directly in a folder.

    Raises:
        ConfigError: If there is none.
    """
    try:
        sizes = [(path.stat().st_size, str(path)) for path in folder.iterdir() if path.is_file()]
    except OSError as exc:
        raise ConfigError(f"{folder} cannot be read: {exc.strerror}") from exc
    if not sizes or max(sizes)[0] == 0:
        raise ConfigError(
            f"no file with content is in {folder}", hint="there is nothing to hit yet"
        )
    return max(sizes)[1]
