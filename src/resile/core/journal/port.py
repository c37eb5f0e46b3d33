"""What a journal promises, whatever it is kept in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from resile.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event as it stands in the chain.

    Args:
        seq: 1-based, without gaps, over all segments.
        event: What happened.
        previous_hash: SHA-256 of the record before; 32 zero bytes before the first.
        hash: SHA-256 over `previous_hash` and this record's canonical bytes.
    """

    seq: int
    event: Event
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain; kept elsewhere, it makes a cut tail visible."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records to read. Every field that is set narrows; the default is all of them.

    Args:
        kinds: Kinds to read; a kind that ends in `.*` takes all of its part (`incident.*`).
        subject: Exactly this subject.
        correlation_id: Exactly this story.
        event_id: Exactly this event.
        after_seq: Only records behind this one.
        since: Only events at or after this time.
        until: Only events before this time.
        limit: At most so many. Default 1000; 1..100,000.
        is_newest_first: The newest `limit` records, newest first.
    """

    kinds: tuple[str, ...] = ()
    subject: str = ""
    correlation_id: str = ""
    event_id: str = ""
    after_seq: int = 0
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 1000
    is_newest_first: bool = False


class Journal(Protocol):
    """An append-only, hash-chained record of events. Safe to share between threads.

    Several processes may append to one journal; they make one chain.
    """

    def append(self, *events: Event) -> tuple[Record, ...]:
        """Append events as one atomic unit; durable (fsynced) when it returns. Blocks.

        Raises:
            JournalError: If they could not be made durable; then none of them is in the journal.
        """
        ...

    def read(self, query: Query) -> tuple[Record, ...]:
        """Read records in order of their sequence number."""
        ...

    def follow(self, *, after_seq: int, timeout_s: float) -> Iterator[Record]:
        """Yield records behind `after_seq` as they come; end after `timeout_s` without one."""
        ...

    def head(self) -> Head:
        """Tell the last sequence number and hash; seq 0 if the journal is empty."""
        ...

    def close(self) -> None:
        """Wait for what is being appended, then let go of the files."""
        ...


class JournalSink(Protocol):
    """The part of a journal that a sensor needs."""

    def append(self, *events: Event) -> Sequence[Record]:
        """Append events; durable when it returns."""
        ...
