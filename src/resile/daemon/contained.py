"""Contained runs for the pages: the records of open ones, the journal for the rest, and decisions.

Implements `resile.web.RunsView`. Only runs whose record names this system's journal are known
here: one user may have several systems, and runs without any.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.events import Payload, RunsHeld
from resile.core.journal import Journal, Query
from resile.daemon.run_stories import RUN_KINDS, RunStories, open_facts, record_facts, tell
from resile.daemon.tail import JournalTail
from resile.errors import RejectedError, TransactionError

if TYPE_CHECKING:
    from resile.contain import Change, Host, RunRecord, Transaction

Result = TypeVar("Result")

RECORDS_AT_START = 2000
"""Some three hundred runs with what they tried."""
STORY_RECORDS_MAX = 1000
CHANGES_MAX = 500
TEXT_BYTES_MAX = 64 << 10
"""Of one path's diff: more is for the command and a pager."""
TEXTS_BYTES_MAX = 512 << 10
"""Of all paths' diffs together."""
READERS, DECIDERS = 2, 4
"""Threads of their own: a commit of gigabytes must not keep the brain from reading its journal."""


class ContainedRuns:
    """Reads and decides. Lives on the brain's event loop; what blocks goes to its threads.

    Args:
        state: The state folder of this system.
        journal: Its journal, to read.
        environ: May say where runs are kept.
        clock: Stamps what is told.
    """

    def __init__(
        self, *, state: Path, journal: Journal, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._folder = state / "journal"
        self._journal = journal
        self._environ = environ
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: Host | None = None
        self._stories = RunStories()
        self._tail = JournalTail(journal, RUN_KINDS, at_start=RECORDS_AT_START)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="runs-read")
        self._deciders = ThreadPoolExecutor(DECIDERS, thread_name_prefix="runs-decide")

    def close(self) -> None:
        """Let go of the threads; a decision that is being carried out goes on to its end."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._deciders.shutdown(wait=False, cancel_futures=True)

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """Give the open runs and the latest closed ones, newest first."""
        return await self._read(self._all)

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Give one run with its violations and its timeline; None if it is not known here."""
        return await self._read(lambda: self._one(run_id))

    async def held(self) -> Mapping[str, Any] | None:
        """Tell who holds new runs, and why; None if nobody does."""
        return await self._read(self._held)

    async def diff(self, run_id: str) -> Mapping[str, Any]:
        """Give what an open run that has ended would change; long texts and lists are cut."""
        return await self._read(lambda: self._diff(run_id))

    async def commit(self, run_id: str, *, paths: Sequence[str], who: str) -> int:
        """Commit a run's changes, or those at and below some paths; give their number."""
        from resile.contain import commit_run

        return await self._decide(
            lambda: commit_run(self._host(), self._record(run_id), paths=tuple(paths), who=who)
        )

    async def discard(self, run_id: str, *, who: str) -> None:
        """Undo what a run changed."""
        from resile.contain import discard_run

        await self._decide(lambda: discard_run(self._host(), self._record(run_id), who=who))

    async def kill(self, run_id: str, *, who: str) -> bool:
        """Kill a run; False if it had ended already."""
        from resile.contain import kill_run

        return await self._decide(
            lambda: kill_run(self._host().runs, self._record(run_id), who=who, clock=self._clock)
        )

    async def hold(self, *, who: str, why: str) -> Sequence[Payload]:
        """Let no run of this user begin any more; give what is to be journalled, nothing if they are held."""
        return await self._decide(lambda: self._hold(who, why))

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _decide(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._deciders, work)

    # In threads ---------------------------------------------------------------------------------

    def _host(self) -> "Host":
        """Give the host, whose modules are loaded when somebody first looks at runs."""
        from resile.contain import Host, Runs, runs_folder

        with self._lock:
            if self._opened is None:
                self._opened = Host(
                    runs=Runs(runs_folder(self._environ)),
                    journal=self._folder,
                    environ=self._environ,
                    clock=self._clock,
                )
            return self._opened

    def _all(self) -> list[dict[str, Any]]:
        # The records first: what closes in between is shown as open once more, and never missed.
        records = list(self._own_records())
        stories = self._known_stories()
        found = [self._open(record, stories) for record in records]
        with self._lock:
            found += stories.closed(but={record.run_id for record in records})
        return sorted(found, key=lambda run: str(run["id"]), reverse=True)

    def _held(self) -> dict[str, Any] | None:
        from resile.contain import held

        hold = held(self._host().runs)
        return None if hold is None else encode(hold)

    def _hold(self, who: str, why: str) -> tuple[Payload, ...]:
        from resile.contain import Hold, held, hold_runs

        if held(self._host().runs) is not None:
            return ()
        hold_runs(self._host().runs, Hold(who=who, why=why, at=self._clock.now()))
        return (RunsHeld(who=who, why=why),)

    def _one(self, run_id: str) -> dict[str, Any] | None:
        record = next((r for r in self._own_records() if r.run_id == run_id), None)
        stories = self._known_stories()
        story = stories.get(run_id)
        if record is None and story is None:
            return None
        told = self._journal.read(
            Query(kinds=RUN_KINDS, correlation_id=run_id, limit=STORY_RECORDS_MAX)
        )
        facts = self._open(record, stories) if record else story.facts() if story else {}
        return {**facts, **tell(told)}

    def _own_records(self) -> "Iterator[RunRecord]":
        own = self._folder.resolve()
        for record in self._host().runs.records():
            if Path(record.journal).resolve() == own:
                yield record

    def _record(self, run_id: str) -> "RunRecord":
        for record in self._own_records():
            if record.run_id == run_id:
                return record
        raise RejectedError(
            f"{run_id} is not open any more", hint="`resile runs` lists the open ones"
        )

    def _known_stories(self) -> RunStories:
        """Fold what was appended since the last time."""
        with self._lock:
            for records in self._tail.read():
                self._stories.add(records)
            return self._stories

    def _open(self, record: "RunRecord", stories: RunStories) -> dict[str, Any]:
        live = self._host().runs.live(record.run_id)
        with self._lock:
            return open_facts(record_facts(record), live, stories.get(record.run_id))

    def _diff(self, run_id: str) -> dict[str, Any]:
        from resile.contain import diff_of

        transaction, diffs = diff_of(self._host(), self._record(run_id))
        left = _Left(changes=CHANGES_MAX, text_bytes=TEXTS_BYTES_MAX)
        workspaces = [
            {
                "workspace": str(diff.workspace),
                "changes": [
                    _change(transaction, diff.workspace, change, left)
                    for change in diff.changes[: left.take_changes(len(diff.changes))]
                ],
            }
            for diff in diffs
        ]
        return {"id": run_id, "workspaces": workspaces, "is_cut": left.is_cut}


class _Left:
    """What an answer has room for."""

    def __init__(self, *, changes: int, text_bytes: int) -> None:
        self._changes = changes
        self.text_bytes = text_bytes
        self.is_cut = False

    def take_changes(self, wanted: int) -> int:
        taken = min(wanted, self._changes)
        self._changes -= taken
        self.is_cut |= taken < wanted
        return taken


def _change(
    transaction: "Transaction", workspace: Path, change: "Change", left: _Left
) -> dict[str, Any]:
    from resile.contain import diff_text

    text = ""
    if left.text_bytes > 0:
        most = min(TEXT_BYTES_MAX, left.text_bytes)
        try:
            text = diff_text(transaction, workspace, change, bytes_max=most)
        except (TransactionError, OSError) as exc:
            text = f"(cannot be read: {exc})"
        left.text_bytes -= len(text.encode(errors="replace"))
    else:
        left.is_cut = True
    return {
        **asdict(change),
        "path": _name(change.path),
        "link_target": _name(change.link_target),
        "diff": text,
    }


def _name(path: str) -> str:
    """Give a path as text; bytes that are none become U+FFFD."""
    return os.fsencode(path).decode(errors="replace")
