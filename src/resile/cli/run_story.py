"""Contained runs for `resile runs`: the open ones from their records, the closed ones from the journal."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from resile.contain import matching
from resile.core.events import RunBegun
from resile.core.journal import Query, Record, open_journal
from resile.core.units import format_duration, format_size
from resile.core.vocabulary import RunState
from resile.daemon.run_stories import RUN_KINDS, RunStories, open_facts, record_facts, tell
from resile.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from resile.contain import Host
    from resile.core.journal import Journal

RECORDS_MAX = 2000
"""The newest of the journal: some three hundred runs."""
STORY_RECORDS_MAX = 1000
LAST = "last"
_BAR_WIDTH = 20

Facts = Mapping[str, Any]


def open_runs(host: "Host") -> list[Facts]:
    """Give the open runs, oldest first, as the API shows them."""
    with _journal(host) as journal:
        return list(_open(host, _stories(journal)))


def all_runs(host: "Host") -> list[Facts]:
    """Give the open runs and the latest closed ones, oldest first."""
    with _journal(host) as journal:
        stories = _stories(journal)
        known = list(_open(host, stories))
        closed = stories.closed(but={str(run["id"]) for run in known})
        return sorted([*known, *closed], key=lambda run: str(run["id"]))


def one_run(host: "Host", text: str) -> Facts:
    """Give one run with what it tried and its timeline.

    Args:
        host: Where it is.
        text: Its id, which may be shortened; `last` is the newest, open or closed.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    runs = {str(run["id"]): run for run in all_runs(host)}
    ids = sorted(runs)
    with _journal(host) as journal:
        found: Sequence[str] = ids[-1:] if text == LAST else matching(ids, text) if text else ()
        if len(found) > 1:
            raise ConfigError(f"{len(found)} runs begin with {text!r}", hint="type more of it")
        run_id = found[0] if found else text
        told = _told(journal, run_id)
        if not found and not any(r.event.kind == RunBegun.kind for r in told):
            raise ConfigError(f"there is no run {text!r}", hint="`resile runs --all` lists them")
        facts = runs.get(run_id) or _closed(told)
        return {**facts, **tell(told)}


@dataclass(frozen=True, slots=True)
class Meter:
    """What a run used of one thing, and what it was allowed; both for people."""

    label: str
    used: str
    most: str
    share: float | None
    """0..1 and more; None without a limit."""

    @property
    def bar(self) -> str:
        """Draw it; empty without a limit."""
        if self.share is None:
            return ""
        full = round(min(1.0, self.share) * _BAR_WIDTH)
        return f"{'█' * full}{'░' * (_BAR_WIDTH - full)} {self.share * 100:.0f}%"


def meters(run: Facts, now: datetime) -> list[Meter]:
    """Tell what a run used against its limits; what this machine cannot tell is left out."""
    used, most = dict(run["usage"]), dict(run["limits"] or {})
    if run["is_open"] and run["ended_at"] is None:
        began_at = datetime.fromisoformat(str(run["began_at"]))
        used["time_s"] = max(timedelta(), now - began_at).total_seconds()
    share, spent, time_s = used.get("cpu_share"), used.get("cpu_s"), used.get("time_s")
    if share is None and spent is not None and time_s:
        share = spent / time_s
    memory = used.get("memory_bytes", used.get("memory_max_bytes"))
    rows = (
        ("time", time_s, most.get("time_s"), format_duration),
        ("cpu", share, most.get("cpu_share"), _percent),
        ("cpu time", spent, most.get("cpu_time_s"), format_duration),
        ("memory", memory, most.get("memory"), format_size),
        ("processes", used.get("processes_max"), most.get("processes"), str),
        ("disk", used.get("disk_bytes"), most.get("disk_bytes"), format_size),
        ("output", used.get("output_bytes"), most.get("output_bytes"), format_size),
    )
    return [
        Meter(
            label=label,
            used=write(amount),
            most=write(limit) if limit else "",
            share=amount / limit if limit else None,
        )
        for label, amount, limit, write in rows
        if amount is not None
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.0f}%"


@contextlib.contextmanager
def _journal(host: "Host") -> "Iterator[Journal | None]":
    """Open the journal to read; None if there is none yet."""
    try:
        journal = open_journal(host.journal_folder, create=False)
    except JournalError:
        yield None
        return
    with contextlib.closing(journal):
        yield journal


def _stories(journal: "Journal | None") -> RunStories:
    stories = RunStories()
    if journal is not None:
        newest = Query(kinds=RUN_KINDS, limit=RECORDS_MAX, is_newest_first=True)
        stories.add(reversed(journal.read(newest)))
    return stories


def _told(journal: "Journal | None", run_id: str) -> Sequence[Record]:
    if journal is None:
        return ()
    return journal.read(Query(kinds=RUN_KINDS, correlation_id=run_id, limit=STORY_RECORDS_MAX))


def _closed(told: Sequence[Record]) -> Facts:
    stories = RunStories()
    stories.add(told)
    (facts,) = stories.closed(but=())
    return facts


def _open(host: "Host", stories: RunStories) -> Iterator[Facts]:
    for record in host.runs.records():
        live = host.runs.live(record.run_id)
        facts = open_facts(record_facts(record), live, stories.get(record.run_id))
        at_work = record.state is RunState.RUNNING
        yield {**facts, "ended_at": None if at_work else facts["ended_at"] or facts["began_at"]}
