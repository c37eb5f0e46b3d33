"""A snapshot now, for whoever asks: one JSON object over a unix socket, and one back.

    {"snapshot": "/the/folder", "tags": ["before"], "reuse_within_s": 1.0}
    -> {"id": "...", "is_changed": true, "why": {...}} or {"error": "...", "hint": "..."}
    -> {"unknown": true}: no such folder is declared here

Only this user may connect.
"""

import contextlib
import functools
import json
import logging
import os
import socket
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resile.daemon.sockets import listen_unix
from resile.daemon.storekeeper.keeper import Keeper
from resile.daemon.storekeeper.together import Together
from resile.errors import OperationError, ResileError
from resile.store import KEEPER_SOCKET_NAME

logger = logging.getLogger(__name__)

REQUEST_BYTES_MAX = 1 << 16
REQUEST_TIMEOUT_S = 5.0
TAGS_MAX = 32
ASKERS_MAX = 64
"""So many at once; more wait until one has its answer."""


class Asking:
    """Listens in a thread of its own, and answers in one for each that asks, up to a limit.

    Those who ask for the same folder at once share a snapshot.

    Args:
        keeper: Takes the snapshots.
        place: The store's URL; somebody who means another store is refused.
        run: The folder of sockets.
    """

    def __init__(self, keeper: Keeper, *, place: str, run: Path) -> None:
        self._keeper = keeper
        self._place = place
        self._path = run / KEEPER_SOCKET_NAME
        self._sock: socket.socket | None = None
        self._askers = threading.BoundedSemaphore(ASKERS_MAX)
        self._together = {
            name: Together(functools.partial(keeper.snapshot, folder))
            for name, folder in keeper.folders.items()
        }

    def start(self) -> None:
        """Listen; where that is not possible it is logged, and commands take snapshots themselves."""
        try:
            self._sock = listen_unix(self._path)
        except OperationError as exc:
            logger.warning("storekeeper.deaf reason=%s", exc.message)
            return
        threading.Thread(target=self._serve, args=(self._sock,), name="asking", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        if self._sock is not None:
            self._path.unlink(missing_ok=True)
            self._sock.close()

    def _serve(self, sock: socket.socket) -> None:
        while True:
            try:
                connection, _ = sock.accept()
            except OSError:
                return
            self._askers.acquire()
            threading.Thread(
                target=self._talk, args=(connection,), name="asker", daemon=True
            ).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(REQUEST_TIMEOUT_S)
                with connection.makefile("rb") as file:
                    request = json.loads(file.readline(REQUEST_BYTES_MAX))
                connection.sendall(json.dumps(self.answer(request)).encode() + b"\n")
        finally:
            self._askers.release()

    def answer(self, request: Any) -> dict[str, Any]:
        """Do what is asked; give what came of it."""
        folder = request.get("snapshot") if isinstance(request, dict) else None
        if not isinstance(folder, str) or not _are_tags(tags := request.get("tags", [])):
            return _failed("the request names no folder, or tags that are none")
        if not _is_age(reuse_within_s := request.get("reuse_within_s", 0.0)):
            return _failed("reuse_within_s is no number of seconds")
        path = os.path.realpath(folder)
        every = self._keeper.folders.items()
        known = [name for name, one in every if os.path.realpath(one.plan.source) == path]
        if not known or request.get("store", self._place) != self._place:
            return {"unknown": True}
        try:
            taken = self._together[known[0]].take(tuple(tags), reuse_within_s=reuse_within_s)
        except ResileError as exc:
            return _failed(exc.message, exc.hint)
        except OSError as exc:
            return _failed(exc.strerror or str(exc))
        return {
            "id": taken.snapshot.snapshot_id,
            "is_changed": taken.is_changed,
            "why": asdict(taken.why),
        }


def _are_tags(tags: object) -> bool:
    return (
        isinstance(tags, list)
        and len(tags) <= TAGS_MAX
        and all(isinstance(tag, str) for tag in tags)
    )


def _is_age(value: object) -> bool:
    return isinstance(value, (int, float)) and value >= 0


def _failed(error: str, hint: str = "") -> dict[str, Any]:
    return {"error": error, "hint": hint}
