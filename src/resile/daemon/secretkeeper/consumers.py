"""Who uses which secret, and up to which version: what rotations wait for.

It is kept in a file, because a keeper that has just started must not take a consumer for gone only
because that has not connected again yet.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import decode, encode
from resile.core.files import write_atomic
from resile.core.process import Identity, boot_id, is_alive
from resile.daemon.secretkeeper.model import Client, Deliver
from resile.errors import OperationError, RejectedError
from resile.secrets import Consumer

logger = logging.getLogger(__name__)

FILE_NAME = "consumers.json"
LIVE_S = 30.0
"""Three heartbeats of a process, or so long a connection may be lost: then it is not waited for."""
RETURN_S = 15.0
"""Clients that nobody remembers have so long to connect again; one that lost its line tries once a second."""
FORGOTTEN = Consumer(
    consumer_id="forgotten",
    label="clients from before, which could not be read: they have a moment to connect again",
    version="",
)
"""Whoever used it before, as long as nobody knows who that was. A compromise waits until its deadline only."""
LOOK_S = 0.2
"""Between two looks at who lives: a rotation that waits asks a hundred times a second."""
HOLDERS_MAX = 1000
HOLDERS_OF_ONE_MAX = 256
"""Of one client, so that none keeps the others from registering."""
NAMES_MAX = 200
"""Of one process."""
_VERSION = 1

Push = Callable[[Iterable[int], Mapping[str, Any]], None]
"""Sends a message to connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One process that uses secrets.

    Args:
        process: Which one.
        client: Its name.
        label: For people.
        how: How it got them.
        service: Which one it is; empty: none.
        generation: Of the service.
        folder: file: where its files are; empty: it has none.
        versions: By name of secret, the newest version that it acknowledged; empty: none yet.
    """

    process: Identity
    client: str
    label: str
    how: Deliver
    service: str = ""
    generation: int = 0
    folder: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from every other holder."""
        return _key(self.how, self.process.pid, self.process.start_ticks)


@dataclass(slots=True)
class _Contact:
    """How a holder is reached."""

    heard_s: float
    connections: set[int] = field(default_factory=set)


class Registry:
    """Implements `resile.secrets.Consumers`. Safe to share between threads.

    Args:
        folder: Where its file is.
        clock: Measures silence.
        push: Sends a message to connections.
        on_change: Called with a name when it has a new current version, or one is revoked.
        on_revoke: Called with a name and the version that is; empty: all of them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        push: Push,
        on_change: Callable[[str], None],
        on_revoke: Callable[[str, str], None],
    ) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._push = push
        self._on_change = on_change
        self._on_revoke = on_revoke
        self._lock = threading.Lock()
        holders, is_whole = _load(self._path)
        self._holders = {one.key: one for one in holders}
        self._whole_s = -inf if is_whole else clock.monotonic() + RETURN_S
        """From then on all who use secrets are known."""
        self._contacts = {key: _Contact(clock.monotonic()) for key in self._holders}
        self._looked_s = -LOOK_S

    # What rotations ask -------------------------------------------------------------------------

    def holding(self, name: str) -> tuple[Consumer, ...]:
        """Give those that use it, with what they acknowledged."""
        known = self.consumers().get(name, ())
        return tuple(known) if self._is_whole() else (*known, FORGOTTEN)

    def tell(self, name: str, version: str) -> None:
        """Tell all of them that this version is current now. Does not wait."""
        self._push(self._connections(name), {"changed": name, "version": version})
        self._on_change(name)

    def revoke(self, name: str, version: str) -> None:
        """Tell all of them that this version must not be used any more. Does not wait."""
        self._push(self._connections(name), {"revoked": name, "version": version})
        self._on_revoke(name, version)
        self._on_change(name)

    def cut(self, client: str) -> None:
        """Tell a client that nothing of what it has may be used any more; no rotation waits for it."""
        with self._lock:
            gone = [one for one in self._alive() if one.client == client]
            orders = [
                (tuple(self._contacts[one.key].connections), name)
                for one in gone
                for name in one.versions
            ]
            for one in gone:
                self._holders[one.key] = replace(one, versions={})
            self._keep()
        for connections, name in orders:
            if connections:
                self._push(connections, {"revoked": name, "version": ""})

    def nudge(self, client: str) -> None:
        """Let a client ask anew for all that it uses. Does not wait."""
        with self._lock:
            orders = [
                (tuple(self._contacts[one.key].connections), name)
                for one in self._alive()
                if one.client == client
                for name in one.versions
            ]
        for connections, name in orders:
            self._push(connections, {"changed": name, "version": ""})

    def consumers(self) -> dict[str, list[Consumer]]:
        """Give the consumers of each secret that has any."""
        found: dict[str, list[Consumer]] = {}
        with self._lock:
            for one in self._alive():
                is_live = self._is_live(one)
                for name, version in one.versions.items():
                    found.setdefault(name, []).append(
                        Consumer(
                            consumer_id=one.key, label=one.label, version=version, is_live=is_live
                        )
                    )
        return found

    # What clients say ---------------------------------------------------------------------------

    def heard(self, connection: int, client: Client) -> None:
        """Note that a connection lives."""
        with self._lock:
            contact = self._contacts.get(_key(Deliver.API, client.pid, client.start_ticks))
            if contact is not None:
                contact.heard_s = self._clock.monotonic()
                contact.connections.add(connection)

    def left(self, connection: int, client: Client) -> None:
        """Note that a connection is gone. Its process has some time to come again."""
        with self._lock:
            contact = self._contacts.get(_key(Deliver.API, client.pid, client.start_ticks))
            if contact is not None:
                contact.connections.discard(connection)

    def watch(self, connection: int, client: Client, name: str, version: str) -> None:
        """Register a process as a consumer; kept when this returns.

        Args:
            connection: By which it is told.
            client: Which process.
            name: The secret.
            version: What it uses now; empty: it will tell.

        Raises:
            RejectedError: If there are too many.
        """
        with self._lock:
            one = self._admit(_holder(client, how=Deliver.API))
            if name not in one.versions and len(one.versions) >= NAMES_MAX:
                raise RejectedError(f"a process may watch {NAMES_MAX} secrets")
            self._contacts[one.key].heard_s = self._clock.monotonic()
            self._contacts[one.key].connections.add(connection)
            if version or name not in one.versions:
                self._put(one, {name: version})

    def ack(self, client: Client, name: str, version: str) -> None:
        """Note that a process uses nothing older; of one that does not watch it, nothing is noted."""
        with self._lock:
            one = self._holders.get(_key(Deliver.API, client.pid, client.start_ticks))
            if one is not None and name in one.versions:
                self._put(one, {name: version})

    def unwatch(self, client: Client, name: str) -> None:
        """Let a process be no consumer of this any more."""
        with self._lock:
            one = self._holders.get(_key(Deliver.API, client.pid, client.start_ticks))
            if one is not None and name in one.versions:
                rest = {key: value for key, value in one.versions.items() if key != name}
                self._holders[one.key] = replace(one, versions=rest)
                self._keep()

    # What is handed to services -----------------------------------------------------------------

    def starting(self, client: Client, how: Deliver, names: Iterable[str]) -> None:
        """Note that a service is about to be given these: rotations wait until it says which versions.

        Raises:
            RejectedError: If there are too many holders.
        """
        with self._lock:
            one = self._admit(_holder(client, how=how))
            self._put(one, {name: "" for name in names if name not in one.versions})

    def handed(
        self, client: Client, how: Deliver, versions: Mapping[str, str], folder: str
    ) -> None:
        """Note what a service was given at its start; kept when this returns.

        Raises:
            RejectedError: If there are too many holders.
        """
        with self._lock:
            one = self._admit(_holder(client, how=how))
            self._put(replace(one, folder=folder), versions)

    def handed_out(self, how: Deliver) -> tuple[Holder, ...]:
        """Give the holders that live, now, and got theirs this way."""
        with self._lock:
            self._looked_s = -LOOK_S
            return tuple(one for one in self._alive() if one.how is how)

    def renewed(self, holder: Holder, name: str, version: str) -> None:
        """Note that what was handed to a holder is renewed."""
        with self._lock:
            one = self._holders.get(holder.key)
            if one is not None and name in one.versions:
                self._put(one, {name: version})

    # Inside; the caller holds the lock, but for `_connections` -----------------------------------

    def _connections(self, name: str) -> tuple[int, ...]:
        with self._lock:
            return tuple(
                connection
                for one in self._alive()
                if name in one.versions
                for connection in self._contacts[one.key].connections
            )

    def _is_whole(self) -> bool:
        """Tell whether who is not known uses nothing."""
        return self._clock.monotonic() >= self._whole_s

    def _is_live(self, one: Holder) -> bool:
        """Tell whether it is waited for: what was handed to a service is used as long as that lives."""
        silent_s = self._clock.monotonic() - self._contacts[one.key].heard_s
        return one.how is not Deliver.API or silent_s < LIVE_S

    def _alive(self) -> list[Holder]:
        """Give all that live, as seen a moment ago, and forget the others."""
        now_s = self._clock.monotonic()
        if now_s < self._looked_s + LOOK_S:
            return list(self._holders.values())
        self._looked_s = now_s
        for key in [key for key, one in self._holders.items() if not is_alive(one.process)]:
            del self._holders[key], self._contacts[key]
        return list(self._holders.values())

    def _admit(self, holder: Holder) -> Holder:
        if holder.key not in self._holders:
            self._need_room(holder.client)
        self._contacts.setdefault(holder.key, _Contact(self._clock.monotonic()))
        return self._holders.setdefault(holder.key, holder)

    def _need_room(self, client: str) -> None:
        if (
            len(self._holders) < HOLDERS_OF_ONE_MAX
        ):  # Then there is room for any, the dead included.
            return
        alive = self._alive()
        if len(alive) >= HOLDERS_MAX:
            raise RejectedError(f"{HOLDERS_MAX} processes use secrets already")
        if sum(one.client == client for one in alive) >= HOLDERS_OF_ONE_MAX:
            raise RejectedError(f"{HOLDERS_OF_ONE_MAX} processes of {client} use secrets already")

    def _put(self, holder: Holder, versions: Mapping[str, str]) -> None:
        self._holders[holder.key] = replace(holder, versions={**holder.versions, **versions})
        self._keep()

    def _keep(self) -> None:
        """Write the file; a keeper that dies at any moment leaves a whole one."""
        data = {
            "version": _VERSION,
            "is_whole": self._is_whole(),  # For the next life, if this one is short.
            "holders": [encode(one) for one in self._holders.values()],
        }
        try:
            write_atomic(self._path, json.dumps(data).encode())
        except OperationError as exc:
            # Who is not kept connects again by itself, sooner than a rotation would miss it.
            logger.warning("secretkeeper.consumers_not_kept reason=%s", exc.message)


def _key(how: Deliver, pid: int, start_ticks: int) -> str:
    return f"{how}-{pid}-{start_ticks}"


def _holder(client: Client, *, how: Deliver) -> Holder:
    return Holder(
        process=Identity(boot_id=boot_id(), pid=client.pid, start_ticks=client.start_ticks),
        client=client.name,
        label=client.label,
        how=how,
        service=client.service,
        generation=client.generation,
    )


def _load(path: Path) -> tuple[list[Holder], bool]:
    """Read the holders that live still, and whether those are all: without a file there are none."""
    try:
        data = json.loads(path.read_bytes())
        holders = [decode(Holder, one) for one in data["holders"]]
        is_whole = data.get("is_whole") is not False
    except FileNotFoundError:
        return [], True
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        logger.warning(
            "secretkeeper.consumers_not_read reason=%s rotations_wait_s=%g", exc, RETURN_S
        )
        return [], False
    return [one for one in holders if is_alive(one.process)], is_whole
