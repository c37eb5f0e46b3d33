"""Gives services what is new of the secrets that were handed to them: files anew, or a restart.

Level-triggered: it compares what each service holds with what is current, so that nothing is lost when the
keeper dies in between. One thread does it all.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from resile.core.clock import Clock
from resile.core.process import send_signal
from resile.daemon.secretkeeper.consumers import Holder, Registry
from resile.daemon.secretkeeper.folders import Folders, write_anew
from resile.daemon.secretkeeper.model import HANDED, Client, Deliver, Plan
from resile.errors import ResileError
from resile.secrets import Secret

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks at what is not done yet."""
SETTLE_S = 1.0
"""So long a service has after its signal until it counts as using the new file."""
RESTART_S = 60.0
"""A service that was asked to restart and has not is asked again after this."""
FAILED_AGAIN_S = 10.0
TIDY_S = 60.0

Read = Callable[[Client, str], Secret]
"""Reads the current version for a client, recorded as its access."""
Restart = Callable[[str, str], None]
"""Has a service restarted, because of a secret; does not wait."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A restart that is under way."""

    holder: Holder
    at_s: float


@dataclass(frozen=True, slots=True)
class _Written:
    """A file that was written anew, and whose service has not had its time yet."""

    holder: Holder
    name: str
    number: str
    at_s: float


@dataclass(slots=True)
class _State:
    dirty: set[str] = field(default_factory=set)
    asked: _Asked | None = None
    written: list[_Written] = field(default_factory=list)
    failed_s: dict[tuple[str, str], float] = field(default_factory=dict)
    looked_s: dict[str, float] = field(default_factory=dict)
    """By secret: when its current version was last asked for."""
    tidy_s: float = 0.0


class Delivery:
    """Runs in a thread of its own; `changed` is safe from any.

    Args:
        plan: What is handed to whom.
        registry: Who holds what.
        folders: Where files are.
        current: Gives the number of the current version of a name.
        read: Reads it for a service.
        restart: Has a service restarted.
        clock: Paces.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        registry: Registry,
        folders: Folders,
        current: Callable[[str], str],
        read: Read,
        restart: Restart,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._registry = registry
        self._folders = folders
        self._current = current
        self._read = read
        self._restart = restart
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._state = _State()

    def changed(self, names: Iterable[str]) -> None:
        """Note that these may have a new version. Does not wait."""
        with self._lock:
            self._state.dirty.update(names)
        self._wake.set()

    def run(self) -> None:
        """Deliver for ever."""
        self.changed(
            name
            for how in HANDED
            for one in self._registry.handed_out(how)
            for name in one.versions
        )
        while True:
            self._wake.wait(LOOK_S)
            self._wake.clear()
            try:
                self.step()
            except Exception:
                logger.exception("secretkeeper.delivery_failed")

    def step(self) -> None:
        """Do what can be done now."""
        self._settle()
        self._doubt()
        with self._lock:
            names, self._state.dirty = self._state.dirty, set()
        for name in sorted(names):
            if not self._deliver(name):
                with self._lock:
                    self._state.dirty.add(name)
        if self._clock.monotonic() >= self._state.tidy_s:
            self._state.tidy_s = self._clock.monotonic() + TIDY_S
            self._tidy()

    def _doubt(self) -> None:
        """Look again at what is older than its ttl: another tool may have changed it, which nobody tells."""
        now_s = self._clock.monotonic()
        held = {n for how in HANDED for one in self._registry.handed_out(how) for n in one.versions}
        looked_s = {name: self._state.looked_s.get(name, now_s) for name in held}
        old = {name for name in held if now_s - looked_s[name] >= self._plan.secret(name).ttl_s}
        self._state.looked_s = {**looked_s, **dict.fromkeys(old, now_s)}
        with self._lock:
            self._state.dirty |= old

    def _deliver(self, name: str) -> bool:
        """Bring all holders of a secret to its current version; False if something is left to do."""
        how = self._plan.secret(name).deliver
        if how not in HANDED:
            return True
        holders = [one for one in self._registry.handed_out(how) if name in one.versions]
        if not holders:
            return True
        try:
            number = self._current(name)
        except ResileError as exc:
            logger.debug("secretkeeper.not_delivered secret=%s reason=%s", name, exc.message)
            return False
        # One that has none is just being given it, and says so.
        stale = [one for one in holders if one.versions[name] not in ("", number)]
        if how is Deliver.ENV:
            self._restart_one(name, stale)
            return not stale
        done = [self._renew(one, name) for one in stale if not self._is_settling(one, name, number)]
        return all(done)

    def _renew(self, holder: Holder, name: str) -> bool:
        """Write a file anew, and tell the service; False if that is to be tried again."""
        now_s = self._clock.monotonic()
        if now_s - self._state.failed_s.get((holder.key, name), -FAILED_AGAIN_S) < FAILED_AGAIN_S:
            return False
        try:
            secret = self._read(_client(holder), name)
            write_anew(holder, name, secret.reveal_bytes())
        except ResileError as exc:
            self._state.failed_s[holder.key, name] = now_s
            logger.warning(
                "secretkeeper.not_delivered service=%s secret=%s reason=%s",
                holder.service,
                name,
                exc.message,
            )
            return False
        self._state.failed_s.pop((holder.key, name), None)
        wanted = self._plan.secret(name).signal
        if wanted:
            send_signal(holder.process, signal.Signals[f"SIG{wanted}"])
        self._state.written.append(_Written(holder, name, secret.version, now_s))
        return True

    def _is_settling(self, holder: Holder, name: str, number: str) -> bool:
        wanted = (holder.key, name, number)
        return any(wanted == (one.holder.key, one.name, one.number) for one in self._state.written)

    def _settle(self) -> None:
        """Count those as acknowledged that have had their time."""
        now_s = self._clock.monotonic()
        due = [one for one in self._state.written if now_s - one.at_s >= SETTLE_S]
        for one in due:
            self._registry.renewed(one.holder, one.name, one.number)
            self._state.written.remove(one)

    def _tidy(self) -> None:
        """Remove what services left that have ended."""
        living = self._registry.handed_out(Deliver.FILE)
        keys = {one.key for one in living}
        self._state.failed_s = {k: at for k, at in self._state.failed_s.items() if k[0] in keys}
        used = frozenset(one.folder for one in living)
        self._folders.remove_left(used, clock=self._clock)

    def _restart_one(self, name: str, stale: list[Holder]) -> None:
        """Ask for the restart of one service, if none is under way, in the order of the table."""
        now_s = self._clock.monotonic()
        if self._is_restarting(now_s):
            return
        order = self._plan.secret(name).services
        for service in order:
            for holder in stale:
                if holder.service == service:
                    self._state.asked = _Asked(holder, now_s)
                    self._restart(service, name)
                    return

    def _is_restarting(self, now_s: float) -> bool:
        """Tell whether a service that was asked to restart has not got its new secrets yet."""
        asked = self._state.asked
        if asked is None or now_s - asked.at_s >= RESTART_S:
            return False
        return not any(
            one.service == asked.holder.service
            and one.key != asked.holder.key
            and all(one.versions.values())
            for one in self._registry.handed_out(Deliver.ENV)
        )


def _client(holder: Holder) -> Client:
    return Client(
        name=holder.client,
        pid=holder.process.pid,
        uid=os.geteuid(),
        start_ticks=holder.process.start_ticks,
        service=holder.service,
        generation=holder.generation,
    )
