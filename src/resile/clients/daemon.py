"""The daemon, as a user's process sees it: it hears of the guards here, and steers them.

Nothing here is on the way of a guarded call: see `resile.clients.lane`.
"""

import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from resile.clients import wire
from resile.clients.degraded import DegradationFeed
from resile.clients.lane import Lane
from resile.clients.sharing import shared_names, shared_with
from resile.clients.sharing.places import share_over
from resile.clients.starting import program_name
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import ConfigError
from resile.policies.readings import Reading, readings
from resile.policies.registry import guards
from resile.policies.signals import STATE_KINDS, Signal, listen
from resile.policies.steering import steer

POLICIES = "policies"
"""The topic of readings, and of orders to guards."""
SIGNALS = "signals"
"""The topic of changes of state."""
LOOK_EVERY_S = 1.0
"""Counts are at most so old in the tables; a change of state is said at once."""

_lane: Lane | None = None
_lock = threading.Lock()


def connect(state_dir: str | os.PathLike[str] | None = None) -> Lane:
    """Let the daemon know this process's guards, and steer them. Does not wait for the daemon.

    Happens by itself in a service of a `resile.toml` that uses a policy. Without a daemon nothing
    is different. Safe to call from any thread, and again.

    Args:
        state_dir: The daemon's state folder, such as ".resile". Default: the one of the system
            that this process belongs to (RESILE_STATE_DIR).

    Returns:
        The line, for parts of your own: `publish`, `send` and `on`.

    Raises:
        ConfigError: If no folder is named and the process belongs to no system, or it talks to
            another daemon already.
    """
    global _lane  # noqa: PLW0603 - one line for one process
    folder = state_dir if state_dir is not None else os.environ.get(STATE_VARIABLE)
    if folder is None:
        raise ConfigError(
            "this process belongs to no system, and no state folder is named",
            hint='name the daemon\'s: resile.connect(".resile")',
        )
    with _lock:
        if _lane is None:
            lane = Lane(Path(folder).absolute(), program=program_name())
            PolicyFeed(lane).start()
            DegradationFeed(lane).start()
            share_over(lane)
            lane.start()
            _lane = lane
        elif _lane.state != Path(folder).absolute():
            raise ConfigError(
                f"this process talks to the daemon of {_lane.state} already",
                hint="a process has one daemon: name the same folder, or none",
            )
        return _lane


class PolicyFeed:
    """Says what the guards of this process are doing. Its work is done in the lane's thread.

    Args:
        lane: Where to.
        clock: Paces the looks.
    """

    def __init__(self, lane: Lane, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._lane = lane
        self._clock = clock
        self._said: list[dict[str, Any]] = []
        self._look_at_s = 0.0
        self._known = (0, 0)

    def start(self) -> None:
        """Begin to look at the guards, and to hear of their changes."""
        self._lane.on(POLICIES, obey)
        self._lane.work(self.look)
        listen(self._hear)

    def look(self) -> None:
        """Publish the readings if they differ: once a second, and at once when something is new.

        That is a change of state, a guard, or a daemon.
        """
        now_s, known = self._clock.monotonic(), (len(guards()), self._lane.connections)
        if now_s < self._look_at_s and known == self._known:
            return
        self._look_at_s, self._known = now_s + LOOK_EVERY_S, known
        shared = shared_names()
        found = [_facts(reading, shared) for reading in _chosen(readings())]
        if found != self._said:
            self._said = found
            self._lane.publish(POLICIES, found)

    def _hear(self, signal: Signal) -> None:
        if signal.kind not in STATE_KINDS:
            return
        detail = {name: _plain(value) for name, value in signal.detail.items()}
        said = {"guard": wire.text_of(signal.guard), "kind": signal.kind, "at_s": signal.at_s}
        self._lane.send(SIGNALS, {**said, "detail": detail})
        self._look_at_s = 0.0


def obey(order: Any) -> None:
    """Carry an order to a guard out.

    Raises:
        ConfigError: If it is none, or there is no such guard.
    """
    match order:
        case {"guard": str() as name, "order": str() as what, "why": str() as why}:
            for_s = order.get("for_s")
            steer(name, what, for_s=None if for_s is None else wire.number_of(for_s), why=why)
        case _:
            raise ConfigError("the order cannot be read", hint="is the daemon of another version?")


def _chosen(found: Sequence[Reading]) -> list[Reading]:
    """Give those that the daemon hears of: of too many, those that are not well."""
    if len(found) <= wire.GUARDS_MAX:
        return list(found)
    return sorted(found, key=_wellness)[: wire.GUARDS_MAX]


def _wellness(reading: Reading) -> tuple[bool, bool, int]:
    """Sort those that are not well first."""
    is_plain = reading.state in ("", "closed") and reading.mode == "automatic"
    return is_plain, reading.last_failed_at_s is None, -reading.calls


def _facts(reading: Reading, shared: Collection[str]) -> dict[str, Any]:
    facts = reading._asdict()
    facts["shared"] = shared_with(is_shared=reading.name in shared)
    facts["left_s"] = _finite(reading.left_s)
    return {
        name: wire.text_of(value) if isinstance(value, str) else value
        for name, value in facts.items()
    }


def _plain(value: object) -> object:
    """Give a detail as JSON data: a number, nothing, or text."""
    if isinstance(value, int | float):
        return _finite(value)
    return None if value is None else wire.text_of(str(value))


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or seconds == float("inf") else round(seconds, 1)
