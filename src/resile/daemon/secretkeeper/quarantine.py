"""Clients that get nothing until somebody releases them, and those that must ask each time. Durable."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from resile.core.clock import Clock
from resile.core.codec import decode, encode
from resile.core.files import write_durable
from resile.errors import RejectedError, SecretDamagedError

FILE_NAME = "quarantine.json"
STEP_UP_S = 86_400.0
"""So long nothing is cached for a client that looked odd; if it still does, it begins anew."""
CLIENTS_MAX = 10_000
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A client that gets nothing.

    Args:
        client: Who.
        why: For people.
        who: Who decided it.
        at: When.
        owed: The secrets that are to be rotated for it, and are not yet.
    """

    client: str
    why: str
    who: str
    at: datetime
    owed: tuple[str, ...] = ()


@dataclass(slots=True)
class _State:
    cut: dict[str, Cut] = field(default_factory=dict)
    until: dict[str, datetime] = field(default_factory=dict)


class Quarantine:
    """Safe to share between threads.

    Args:
        folder: Where its file is.
        clock: Stamps.

    Raises:
        SecretDamagedError: If the file cannot be read: nobody knows then who must get nothing.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._lock = threading.Lock()
        self._state = _load(self._path)

    def why(self, client: str) -> str:
        """Tell why a client gets nothing; empty if it gets what it may have."""
        cut = self._state.cut.get(client)
        return "" if cut is None else f"it is in quarantine: {cut.why}"

    def must_ask(self, client: str) -> bool:
        """Tell whether nothing may be cached for a client."""
        until = self._state.until.get(client)
        return until is not None and self._clock.now() < until

    def all(self) -> tuple[Cut, ...]:
        """List those that get nothing, the latest first."""
        with self._lock:
            return tuple(sorted(self._state.cut.values(), key=lambda one: one.at, reverse=True))

    def cut_off(self, client: str, *, why: str, who: str, owed: Sequence[str] = ()) -> bool:
        """Let a client get nothing from now on; durable when it returns. False if it gets nothing already.

        Args:
            client: Who.
            why: For people.
            who: Who decides it.
            owed: The secrets that are to be rotated for it.

        Raises:
            OperationError: If it could not be written; it holds in this life all the same.
            RejectedError: If there are too many.
        """
        with self._lock:
            if client in self._state.cut:
                return False
            if len(self._state.cut) >= CLIENTS_MAX:
                raise RejectedError(
                    f"{CLIENTS_MAX} clients are in quarantine already", hint="release some"
                )
            self._state.cut[client] = Cut(
                client=client, why=why, who=who, at=self._clock.now(), owed=tuple(owed)
            )
            self._keep()
        return True

    def owed(self) -> dict[str, str]:
        """Give the secrets that are to be rotated still, each with why."""
        return {name: one.why for one in self.all() for name in one.owed}

    def rotated(self, name: str) -> None:
        """Note that a secret is rotated; durable when it returns.

        Raises:
            OperationError: If it could not be written: it is rotated once more, in the next life.
        """
        with self._lock:
            for one in [one for one in self._state.cut.values() if name in one.owed]:
                rest = tuple(other for other in one.owed if other != name)
                self._state.cut[one.client] = replace(one, owed=rest)
                self._keep()

    def release(self, client: str) -> bool:
        """Let a client get its secrets again; durable when it returns. False if it does already.

        Raises:
            OperationError: If it could not be written; it stays as it was.
        """
        with self._lock:
            cut = self._state.cut.pop(client, None)
            until = self._state.until.pop(client, None)
            if cut is None and until is None:
                return False
            try:
                self._keep()
            except BaseException:
                if cut is not None:
                    self._state.cut[client] = cut
                raise
        return True

    def step_up(self, client: str) -> None:
        """Let nothing be cached for a client, for a day; durable when it returns.

        Raises:
            OperationError: If it could not be written; it holds in this life all the same.
        """
        now = self._clock.now()
        with self._lock:
            self._state.until = {key: at for key, at in self._state.until.items() if at > now}
            if len(self._state.until) < CLIENTS_MAX:
                self._state.until[client] = now + timedelta(seconds=STEP_UP_S)
            self._keep()

    def _keep(self) -> None:
        data = {
            "version": _VERSION,
            "cut": [encode(one) for one in self._state.cut.values()],
            "until": encode(self._state.until),
        }
        write_durable(self._path, json.dumps(data).encode())


def _load(path: Path) -> _State:
    try:
        data = json.loads(path.read_bytes())
        cuts = [decode(Cut, one) for one in data["cut"]]
        until = {key: datetime.fromisoformat(at) for key, at in data["until"].items()}
    except FileNotFoundError:
        return _State()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SecretDamagedError(
            f"{path} is damaged: nobody knows which clients are in quarantine",
            hint="see who was: resile events --kind client.quarantined; then remove the file",
        ) from exc
    return _State({one.client: one for one in cuts}, until)
