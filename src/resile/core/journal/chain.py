"""The bytes of an event that are hashed, and the hash that ties each record to the one before.

    hash = SHA-256(previous_hash + seq + canonical bytes)

The canonical bytes are a fixed-width header that holds the length of every field, then the
fields: no separator, so no field's content can be taken for another's. Integers are big-endian.
"""

import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from resile.core.events import BODY_BYTES_MAX, Event
from resile.core.journal.port import Head, Record
from resile.errors import JournalBrokenError, JournalError

ZERO_HASH = bytes(32)
"""What stands before the first record."""

START = Head(seq=0, hash=ZERO_HASH)
"""The head of an empty journal."""

TEXT_BYTES_MAX = 4096
"""The longest id, kind, subject, actor or correlation id; all of ours are below 200."""

OWN_KINDS = "journal."
"""How the kinds begin that the journal says of itself."""

_FORMAT = 1
_HEADER = struct.Struct(">BqqIIIIII")
_SEQ = struct.Struct(">Q")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode_body = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode
_COLUMN_TYPES = (int, str, int, str, str, str, str, int, bytes, bytes, bytes)


class Entry(NamedTuple):
    """An event that is ready to be chained: its columns, and its canonical bytes."""

    event: Event
    columns: tuple[Any, ...]
    canonical: bytes


def prepare(event: Event, *, is_own: bool = False) -> Entry:
    """Check an event and encode it; what remains is to number and to hash it.

    Args:
        event: What to append.
        is_own: The journal itself says it. Nobody else may: segments are removed on its word.

    Raises:
        JournalError: If the body is no JSON, or a field is too long or not encodable.
    """
    if event.at.tzinfo is None:
        raise AssertionError(f"event {event.id} has a time without a zone")
    if event.kind.startswith(OWN_KINDS) and not is_own:
        raise AssertionError(f"event {event.id}: only the journal itself says {event.kind}")
    try:
        body = _encode_body(event.body).encode()
        columns = (
            event.id,
            microseconds(event.at),
            event.kind,
            event.subject,
            event.actor,
            event.correlation_id,
            event.version,
            body,
        )
        entry = Entry(event, columns, canonical_bytes(*columns))
    except (TypeError, ValueError, struct.error, RecursionError) as exc:
        raise JournalError(
            f"event {event.id} ({event.kind}) cannot be written: {exc}",
            hint="A body holds JSON data only: text, finite numbers, true, false, null, lists, maps.",
        ) from exc
    if len(entry.canonical) > TEXT_BYTES_MAX:  # else no part of it is too long
        _check_lengths(event, len(body))
    return entry


def canonical_bytes(  # noqa: PLR0917 - the columns of a row, in their order
    event_id: str,
    at_us: int,
    kind: str,
    subject: str,
    actor: str,
    correlation_id: str,
    version: int,
    body: bytes,
) -> bytes:
    """Write the hashed fields of a record, but for its number, without ambiguity."""
    fields = (
        event_id.encode(),
        kind.encode(),
        subject.encode(),
        actor.encode(),
        correlation_id.encode(),
        body,
    )
    return _HEADER.pack(_FORMAT, at_us, version, *map(len, fields)) + b"".join(fields)


def chain_hash(previous_hash: bytes, seq: int, canonical: bytes) -> bytes:
    """Hash a record onto the one before it."""
    return hashlib.sha256(previous_hash + _SEQ.pack(seq) + canonical).digest()


def chain(head: Head, entries: list[Entry]) -> list[Record]:
    """Number and hash entries behind a head."""
    records = []
    seq, previous = head.seq, head.hash
    for entry in entries:
        seq += 1
        current = chain_hash(previous, seq, entry.canonical)
        records.append(Record(seq=seq, event=entry.event, previous_hash=previous, hash=current))
        previous = current
    return records


def row_hash(row: tuple[Any, ...]) -> bytes | None:
    """Compute the hash that a stored row should have; None if it cannot be a row of ours."""
    if tuple(map(type, row)) != _COLUMN_TYPES or row[0] < 1:
        return None
    return chain_hash(row[9], row[0], canonical_bytes(*row[1:9]))


def row_event(row: tuple[Any, ...]) -> Event:
    """Read the event of a stored row whose hash holds."""
    return Event(
        id=row[1],
        at=from_microseconds(row[2]),
        kind=row[3],
        subject=row[4],
        actor=row[5],
        correlation_id=row[6],
        version=row[7],
        body=json.loads(row[8]),
    )


def broken(seq: int, reason: str) -> JournalBrokenError:
    """Say where the chain breaks."""
    return JournalBrokenError(
        f"the journal breaks at record {seq}: {reason}",
        seq=seq,
        hint="Keep a copy of the folder and look for who or what changed it; to work on, move "
        "the folder aside: a new journal is started.",
    )


def microseconds(at: datetime) -> int:
    """Count microseconds from 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(at_us: int) -> datetime:
    """Turn microseconds from 1970 back into a time."""
    return _EPOCH + timedelta(microseconds=at_us)


def format_head(head: Head) -> str:
    """Write a head as `SEQ:HASH`, for a person to keep elsewhere."""
    return f"{head.seq}:{head.hash.hex()}"


def parse_head(text: str) -> Head:
    """Read `SEQ:HASH`.

    Raises:
        ValueError: If the text is not a head.
    """
    seq, _, digest = text.strip().partition(":")
    if not seq.isdecimal() or len(digest) != 2 * len(ZERO_HASH):
        raise ValueError(f"{text!r} is not a head; write SEQ:HASH with 64 hexadecimal digits")
    return Head(seq=int(seq), hash=bytes.fromhex(digest))


def _check_lengths(event: Event, body_bytes: int) -> None:
    if body_bytes > BODY_BYTES_MAX:
        raise JournalError(
            f"event {event.id} ({event.kind}) has a body of {body_bytes} bytes, "
            f"above the limit of {BODY_BYTES_MAX}",
            hint="Put large data into a file, and its path into the event.",
        )
    texts = (event.id, event.kind, event.subject, event.actor, event.correlation_id)
    longest = max(len(text.encode()) for text in texts)
    if longest > TEXT_BYTES_MAX:
        raise JournalError(
            f"event {event.id[:80]} ({event.kind[:80]}) has a name of {longest} bytes, "
            f"above the limit of {TEXT_BYTES_MAX}",
            hint="Names are short; put the text into the body.",
        )
