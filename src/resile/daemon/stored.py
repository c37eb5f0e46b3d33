"""The store for the pages: its listing, what the journal tells of it, and what is done to it.

Implements `resile.web.StoreView`. Reading the listing takes a thread, and answers do not wait long
for it; what is heavy takes a process (`storing`), which a time limit ends.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.events import Payload, SnapshotRestored
from resile.core.journal import Journal
from resile.core.spawning import run_bounded
from resile.daemon.store_listing import UNREAD, Listing, in_trouble, read_listing
from resile.daemon.store_story import STORE_KINDS, StoreStory
from resile.daemon.tail import JournalTail
from resile.errors import ConfigError, OperationError, RejectedError, ResileError
from resile.web import RestorePoint

FRESH_S = 3.0
"""A listing is not read again before; what the journal tells of a snapshot ends it early."""
PATIENCE_S = 2.0
"""An answer waits so long for a listing: pages give up after four seconds."""
RECORDS_AT_START = 2000
ASKERS, ASKING_MAX = 2, 8
"""Two compare at once, as a machine may have two processors; six more may wait."""
ASK_S, RESTORE_S, PROTECT_S = 120.0, 3600.0, 60.0
OUTPUT_BYTES_MAX = 16 << 20
"""A thousand paths of the longest sort, each byte of them escaped."""
_NEVER = (0.0, -1)
_ERRORS: Mapping[str, type[ConfigError | RejectedError | OperationError]] = {
    "config": ConfigError,
    "rejected": RejectedError,
    "operation": OperationError,
}


class Tell(Protocol):
    """Hands payloads to the journal."""

    def __call__(self, *payloads: Payload, actor: str) -> None:
        """Have them journalled soon, in this order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """Where a system's store is.

    Args:
        place: A folder or a URL.
        key_file: Of an encrypted one; else empty.
        replica: The second store; empty: there is none.
        state: The state folder, where the logs of folders are; empty: there are none.
    """

    place: str
    key_file: str = ""
    replica: str = ""
    state: str = ""

    @classmethod
    def of(cls, config: Config, state: Path) -> "StorePlace":
        """Read it from a configuration; the default is in the state folder."""
        store = config.store
        return cls(
            place=store.place or str(state / "store"),
            key_file=str(store.key_file or ""),
            replica=store.replica,
            state=str(state),
        )


class StoreDesk:
    """Reads, compares, restores. Lives on the brain's event loop; what blocks goes elsewhere.

    Args:
        place: Where the store is.
        journal: The system's, to read.
        tell: Journals a restore.
        clock: Stamps and measures.
    """

    def __init__(self, place: StorePlace, *, journal: Journal, tell: Tell, clock: Clock) -> None:
        self._place = place
        self._tell = tell
        self._clock = clock
        self._story = StoreStory()
        self._tail = JournalTail(journal, STORE_KINDS, at_start=RECORDS_AT_START)
        self._story_lock = threading.Lock()
        self._listing: Listing | None = None
        self._listed = _NEVER
        self._reading: asyncio.Task[None] | None = None
        self._keeper: Mapping[str, Any] | None = None
        self._asking = 0
        self._is_restoring = False
        self._lister = ThreadPoolExecutor(1, thread_name_prefix="store-list")
        self._askers = ThreadPoolExecutor(ASKERS, thread_name_prefix="store-ask")
        self._changer = ThreadPoolExecutor(1, thread_name_prefix="store-change")

    def close(self) -> None:
        """Let go of the threads; a restore that is under way goes on to its end."""
        for pool in (self._lister, self._askers, self._changer):
            pool.shutdown(wait=False, cancel_futures=True)

    def hear_keeper(self, work: Mapping[str, Any] | None) -> None:
        """Take what the storekeeper does now; None: none runs."""
        self._keeper = work

    async def overview(self) -> Mapping[str, Any]:
        """Give the store, its newest snapshots and its health."""
        told = await asyncio.to_thread(self._tell_story)
        listing = await self._known(told["seq"])
        return {
            "place": self._place.place,
            "trouble": listing.trouble,
            "read_at": listing.read_at,
            "snapshots": listing.snapshots,
            "is_cut": listing.totals["snapshots"] > len(listing.snapshots),
            "totals": listing.totals,
            "health": told["health"],
            "replica": self._replica(listing, told),
            "keeper": self._keeper,
        }

    async def snapshot(self, snapshot_id: str) -> Mapping[str, Any] | None:
        """Give whose a snapshot is; None if there is no such."""
        listing = await self._known(self._story.last_seq)
        if snapshot_id not in listing.every:
            # A command may have taken it this moment; commands need not tell the journal.
            self._listed = _NEVER
            listing = await self._known(self._story.last_seq)
        found = listing.every.get(snapshot_id)
        if found is None and listing.trouble is not None:
            raise OperationError(listing.trouble["text"], hint=listing.trouble["hint"])
        return found

    async def diff(self, point: RestorePoint, *, against: str) -> Mapping[str, Any]:
        """Give the paths that differ."""
        return await self._ask("diff", point, against=against)

    async def text_diff(self, point: RestorePoint, *, against: str, path: str) -> Mapping[str, Any]:
        """Give how one path differs."""
        return await self._ask("text", point, against=against, path=path)

    async def restore(
        self, point: RestorePoint, *, paths: Sequence[str], who: str
    ) -> Mapping[str, Any]:
        """Restore in place; give the report."""
        source = await self._own_source(point)
        if self._is_restoring:
            raise RejectedError("a restore is under way", hint="wait until it has ended")
        self._is_restoring = True
        try:
            done = await self._change("restore", point, RESTORE_S, paths=list(paths))
        finally:
            self._is_restoring = False
        self._tell(_restored(source, done), actor=f"operator:{who}")
        return done

    async def protect(self, snapshot_id: str, *, is_on: bool) -> None:
        """Protect a snapshot, or take that back."""
        if self._is_restoring:
            raise RejectedError("a restore is under way", hint="wait until it has ended")
        point = RestorePoint(snapshot_id=snapshot_id)
        await self._change("protect", point, PROTECT_S, is_on=is_on)

    async def _own_source(self, point: RestorePoint) -> str:
        """Give whose folder it is.

        Raises:
            RejectedError: If it is one of another machine.
        """
        listing = await self._known(self._story.last_seq)
        here, every = os.uname().nodename, list(listing.every.values())
        if point.at is not None:
            hosts = {one["host"] for one in every if one["source"] == point.source}
            source = point.source
        else:
            chosen = await self.snapshot(point.snapshot_id) or {}
            hosts, source = {chosen.get("host")}, str(chosen.get("source"))
        if here not in hosts:
            raise RejectedError(
                f"this is of another machine, {', '.join(sorted(map(str, hosts))) or 'unknown'}",
                hint="bring it beside: resile restore ID --to DIR",
            )
        return source

    # The listing --------------------------------------------------------------------------------

    async def _known(self, seq: int) -> Listing:
        """Give a listing that is fresh, or what is known if that takes long."""
        read_s, read_seq = self._listed
        is_old = self._clock.monotonic() - read_s >= FRESH_S or read_seq < seq
        if self._reading is None and (is_old or self._listing is None):
            self._reading = asyncio.create_task(self._list(seq), name="store-list")
        if self._reading is not None:
            done, _ = await asyncio.wait({self._reading}, timeout=PATIENCE_S)
            for reading in done:
                reading.result()
        return self._listing or UNREAD

    async def _list(self, seq: int) -> None:
        work = partial(_list_anew, self._place, self._listing, self._clock.now)
        try:
            loop = asyncio.get_running_loop()
            self._listing = await loop.run_in_executor(self._lister, work)
            self._listed = (self._clock.monotonic(), seq)
        finally:
            self._reading = None

    def _tell_story(self) -> dict[str, Any]:
        with self._story_lock:
            for records in self._tail.read():
                self._story.add(records)
            return {
                "seq": self._story.last_seq,
                "health": self._story.facts(),
                "replicated_at": self._story.replicated_at,
                "replica_trouble": self._story.trouble_at(self._place.replica),
            }

    def _replica(self, listing: Listing, told: Mapping[str, Any]) -> dict[str, Any] | None:
        if not self._place.replica:
            return None
        at: datetime | None = told["replicated_at"]
        lacking = [
            one["started_at"]
            for one in listing.every.values()
            if at is None or one["finished_at"] > at
        ]
        lag_s = (self._clock.now() - min(lacking)).total_seconds() if lacking else 0.0
        return {
            "place": self._place.replica,
            "replicated_at": at,
            "lag_s": max(0.0, lag_s),
            "trouble": told["replica_trouble"],
        }

    # Work ---------------------------------------------------------------------------------------

    async def _ask(self, verb: str, point: RestorePoint, **more: Any) -> dict[str, Any]:
        if self._asking >= ASKING_MAX:
            raise RejectedError("too many compare at once", hint="wait, and ask again")
        self._asking += 1
        try:
            return await self._run(self._askers, verb, point, ASK_S, **more)
        finally:
            self._asking -= 1

    async def _change(
        self, verb: str, point: RestorePoint, timeout_s: float, **more: Any
    ) -> dict[str, Any]:
        done = await self._run(self._changer, verb, point, timeout_s, **more)
        self._listed = _NEVER
        return done

    async def _run(
        self,
        pool: ThreadPoolExecutor,
        verb: str,
        point: RestorePoint,
        timeout_s: float,
        **more: Any,
    ) -> dict[str, Any]:
        place = self._place
        wish = {"place": place.place, "key_file": place.key_file, "state": place.state}
        work = {**wish, "verb": verb, **_words(point), **more}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, partial(run_work, work, timeout_s=timeout_s))


def run_work(work: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Have a process do something to a store, and give what came of it. Blocks.

    Raises:
        ConfigError, RejectedError, OperationError: As the process said; the last also if it took
            longer than `timeout_s`, or ended without a word.
    """
    text = json.dumps(work, ensure_ascii=False)
    argv = [sys.executable, "-m", "resile.daemon.storing", text]
    ended = run_bounded(argv, timeout_s=timeout_s, output_bytes_max=OUTPUT_BYTES_MAX)
    if ended.is_timed_out:
        raise OperationError(
            f"it took longer than {timeout_s:.0f} s, and was ended",
            hint="the command has no such limit: resile diff, resile restore",
        )
    last = ended.output.rstrip().rpartition(b"\n")[2]
    try:
        answer = json.loads(last)
        if "done" in answer:
            return dict(answer["done"])
        failed = answer["failed"]
    except (ValueError, KeyError, TypeError) as exc:
        raise OperationError(
            f"it ended ({ended.signal or ended.exit_code}) with {last[:200].decode(errors='replace')!r}",
            hint="try the command: resile diff, resile restore",
        ) from exc
    raise _ERRORS[failed["sort"]](failed["message"], hint=failed["hint"])


def _list_anew(place: StorePlace, known: Listing | None, now: Callable[[], datetime]) -> Listing:
    try:
        return read_listing(place.place, place.key_file, now=now())
    except ResileError as exc:
        return in_trouble(known or Listing(), exc)


def _words(point: RestorePoint) -> dict[str, str]:
    if point.at is None:
        return {"id": point.snapshot_id}
    return {"source": point.source, "at": point.at.isoformat()}


def _restored(source: str, done: Mapping[str, Any]) -> SnapshotRestored:
    return SnapshotRestored(
        source=source,
        snapshot_id=done["id"],
        target=done["target"],
        before_id=done["before"] or "",
        files=done["files"],
        bytes=done["bytes"],
        duration_s=done["duration_s"],
    )
