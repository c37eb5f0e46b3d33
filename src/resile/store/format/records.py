"""The small files of a store as JSON, and back: which store it is, snapshots, marks."""

import json
from datetime import datetime
from typing import Any

from blake3 import blake3

from resile.errors import NotAStoreError, StoreDamagedError
from resile.store.format.frames import STORE_ID_BYTES, VERSION, newer_version
from resile.store.format.trees import entry_from_json, entry_to_json, read_number
from resile.store.model import (
    Counts,
    Entry,
    EntryType,
    Identity,
    Mark,
    MarkKind,
    Snapshot,
    Unread,
)

_FORMAT = "resile-store"


def encode_identity(identity: Identity) -> bytes:
    """Write the file `format`."""
    facts = {
        "format": _FORMAT,
        "version": VERSION,
        "store": identity.store_id.hex(),
        "created_at": identity.created_at.isoformat(),
        "cipher": identity.cipher,
        "key_id": identity.key_id,
    }
    return _sorted(facts | {"check": blake3(_sorted(facts)).hexdigest()}) + b"\n"


def decode_identity(data: bytes, url: str) -> Identity:
    """Read the file `format`.

    Raises:
        NotAStoreError: If it is of another program, or of a version to come.
        StoreDamagedError: If it is damaged.
    """
    try:
        facts = json.loads(data)
        if facts["format"] != _FORMAT:
            raise NotAStoreError(f"{url} is no store of resile", hint="give another place")
        if facts["version"] > VERSION:
            raise newer_version(f"{url}", facts["version"])
        check = facts.pop("check")
        if blake3(_sorted(facts)).hexdigest() != check:
            raise StoreDamagedError(f"the file format of {url} is damaged", name="format")
        return Identity(
            store_id=_store_id(facts["store"]),
            created_at=_time(facts["created_at"]),
            cipher=facts["cipher"],
            key_id=facts["key_id"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreDamagedError(
            f"the file format of {url} is damaged: {exc}", name="format"
        ) from exc


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Write a snapshot's record; its id is not in it, since it names what holds it."""
    counts = snapshot.counts
    return _dump(
        {
            "version": VERSION,
            "source": snapshot.source,
            "host": snapshot.host,
            "user": snapshot.user,
            "started_at": snapshot.started_at.isoformat(),
            "finished_at": snapshot.finished_at.isoformat(),
            "tags": list(snapshot.tags),
            "root": entry_to_json(snapshot.root),
            "parent": snapshot.parent or None,
            "counts": {
                "files": counts.files,
                "folders": counts.folders,
                "bytes": counts.bytes,
                "new_bytes": counts.new_bytes,
                "stored_bytes": counts.stored_bytes,
            },
            "unread": [
                {"path": one.path, "reason": one.reason, "kept": one.is_kept}
                for one in snapshot.unread
            ],
            "excludes": list(snapshot.excludes),
            "one_file_system": snapshot.is_one_file_system,
        }
    )


def decode_snapshot(data: bytes, name: str) -> Snapshot:
    """Read a snapshot's record.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        facts = json.loads(data)
        _check_version(facts)
        return Snapshot(
            snapshot_id=name.rpartition("/")[2],
            source=str(facts["source"]),
            host=str(facts["host"]),
            user=str(facts["user"]),
            started_at=_time(facts["started_at"]),
            finished_at=_time(facts["finished_at"]),
            tags=tuple(str(tag) for tag in facts["tags"]),
            root=_root(facts["root"]),
            parent=str(facts["parent"] or ""),
            counts=Counts(**{k: read_number(facts["counts"][k]) for k in Counts.__slots__}),
            unread=tuple(
                Unread(
                    path=str(one["path"]),
                    reason=str(one["reason"]),
                    is_kept=one.get("kept") is True,
                )
                for one in facts["unread"]
            ),
            excludes=tuple(str(one) for one in facts.get("excludes", ())),
            is_one_file_system=facts.get("one_file_system") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise _no_record(name, "snapshot", exc) from exc


def encode_mark(mark: Mark) -> bytes:
    """Write a mark's record."""
    return _dump(
        {
            "version": VERSION,
            "kind": mark.kind.value,
            "created_at": mark.created_at.isoformat(),
            "snapshot": mark.snapshot or None,
            "packs": list(mark.packs),
        }
    )


def decode_mark(data: bytes, name: str) -> Mark:
    """Read a mark's record.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        facts = json.loads(data)
        _check_version(facts)
        return Mark(
            name=name,
            kind=MarkKind(facts["kind"]),
            created_at=_time(facts["created_at"]),
            snapshot=str(facts["snapshot"] or ""),
            packs=tuple(str(pack) for pack in facts["packs"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise _no_record(name, "mark", exc) from exc


def _check_version(facts: dict[str, Any]) -> None:
    if facts["version"] != VERSION:
        raise ValueError(f"it has version {facts['version']}")


def _store_id(text: str) -> bytes:
    store_id = bytes.fromhex(text)
    if len(store_id) != STORE_ID_BYTES:
        raise ValueError(f"{text!r} is no store's id")
    return store_id


def _root(data: dict[str, Any]) -> Entry:
    root = entry_from_json(data)
    if root.type is not EntryType.FOLDER:
        raise ValueError("its root is no folder")
    return root


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} is a time of no place")
    return time


def _no_record(name: str, what: str, exc: Exception) -> StoreDamagedError:
    return StoreDamagedError(f"{name} is no {what}: {exc}", name=name)


def _sorted(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii")


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
