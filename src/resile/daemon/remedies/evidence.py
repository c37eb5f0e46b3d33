"""A file of evidence: what the journal knows of a fault, its target and what belongs to it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resile.core.codec import encode
from resile.core.files import make_private_dir, write_durable
from resile.core.journal import Journal, Query, Record
from resile.recover import OpenFault

FOLDER = "evidence"
RECORDS_MAX = 2000
KEPT_MAX = 100
_FORMAT = 1


def write_evidence(state: Path, journal: Journal, fault: OpenFault, ids: Iterable[str]) -> Path:
    """Write all that is known of a fault into a file of the state folder; blocks, durable, idempotent.

    Args:
        state: The state folder.
        journal: Read.
        fault: Which.
        ids: What else belongs to it: contained runs.

    Raises:
        OperationError: If it cannot be written.
        JournalError: If the journal cannot be read.
    """
    records: dict[int, Record] = {}
    for correlation_id in (fault.fault_id, *ids):
        query = Query(correlation_id=correlation_id, limit=RECORDS_MAX)
        records |= {record.seq: record for record in journal.read(query)}
    data = {
        "format": _FORMAT,
        "fault": encode(fault),
        "records": [_told(records[seq]) for seq in sorted(records)[-RECORDS_MAX:]],
    }
    folder = state / FOLDER
    make_private_dir(folder)
    path = folder / f"{fault.fault_id}.json"
    write_durable(path, json.dumps(data, indent=1).encode())
    for old in sorted(folder.glob("*.json"))[:-KEPT_MAX]:  # Ids sort by time.
        old.unlink(missing_ok=True)
    return path


def _told(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "hash": str(getattr(record, "hash", "")),
        "event": encode(record.event),
    }
