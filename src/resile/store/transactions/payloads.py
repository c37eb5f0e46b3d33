"""The payloads of the log's records, as docs/reference/transaction-log-format.md has them."""

import json
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from resile.errors import StoreDamagedError
from resile.store.format.trees import entry_from_json, entry_to_json
from resile.store.log.records import PAYLOAD_BYTES_MAX
from resile.store.transactions.model import (
    Content,
    LoggedOperation,
    Noted,
    OperationKind,
    Redo,
)
from resile.store.writeahead.model import Signature
from resile.store.writeahead.steps import Step, StepKind, slot_name

_OPERATION = struct.Struct("<BBBxIIQQQq32s")
_SIGNATURE = struct.Struct("<III4xQqqQQ32s")
_LENGTH = struct.Struct("<H")
_TIME = struct.Struct("<q")
_NOTED = struct.Struct("<BBxxHI")
_COMPENSATION = struct.Struct("<QQ")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = {
    OperationKind.CREATE: StepKind.PLACE,
    OperationKind.MODIFY: StepKind.SWAP,
    OperationKind.DELETE: StepKind.REMOVE,
    OperationKind.MAKE_FOLDER: StepKind.PLACE,
    OperationKind.DELETE_FOLDER: StepKind.REMOVE,
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What a CLR says.

    Args:
        undone: The record of the operation that was taken back.
        undo_next: The record of the one that is to be taken back next; 0: none.
    """

    undone: int
    undo_next: int


def step_for(
    kind: OperationKind, path: str, number: int, *, staged_inode: int, base: Signature | None
) -> Step:
    """Give the step that carries an operation out."""
    return Step(
        workspace=0,
        path=path,
        kind=_STEPS[kind],
        slot=slot_name(number),
        staged_inode=staged_inode,
        base=base,
    )


def encode_operation(operation: LoggedOperation) -> bytes:
    """Write an operation."""
    path = os.fsencode(operation.path)
    fixed = _OPERATION.pack(
        operation.kind,
        operation.redo,
        operation.base is not None,
        operation.number,
        operation.mode,
        operation.folder_inode,
        operation.step.staged_inode,
        operation.staged_size,
        operation.staged_mtime_ns,
        operation.digest,
    )
    base = b"" if operation.base is None else _encode_signature(operation.base)
    return b"".join((fixed, base, _LENGTH.pack(len(path)), path, operation.content))


def decode_operation(payload: bytes) -> LoggedOperation:
    """Read an operation.

    Raises:
        StoreDamagedError: If it makes no sense.
    """
    return _checked(_decode_operation, payload)


def encode_time(at: datetime) -> bytes:
    """Write when something was committed."""
    return _TIME.pack((at - _EPOCH) // timedelta(microseconds=1))


def encode_begin(at: datetime, origin: str) -> bytes:
    """Write when a transaction began, and who did what it only notes."""
    return encode_time(at) + origin.encode("utf-8", "surrogateescape")


def decode_origin(payload: bytes) -> str:
    """Read who did what a transaction notes; empty if it does all itself."""
    return payload[_TIME.size :].decode("utf-8", "surrogateescape")


def encode_noted(noted: Noted) -> bytes:
    """Write what a path became; what does not fit into a record is noted as lost."""
    entry = b""
    if noted.entry is not None:
        entry = json.dumps(entry_to_json(noted.entry), separators=(",", ":")).encode("ascii")
    fixed = _NOTED.pack(noted.content, noted.entry is not None, len(noted.path), len(entry))
    payload = b"".join((fixed, noted.path, entry, noted.data))
    if len(payload) > PAYLOAD_BYTES_MAX:
        return encode_noted(Noted(path=noted.path, content=Content.LOST))
    return payload


def decode_noted(payload: bytes) -> Noted:
    """Read what a path became.

    Raises:
        StoreDamagedError: If it makes no sense.
    """
    return _checked(_decode_noted, payload)


def decode_time(payload: bytes) -> datetime:
    """Read when something was committed.

    Raises:
        StoreDamagedError: If it makes no sense.
    """
    return _EPOCH + timedelta(microseconds=_checked(_TIME.unpack_from, payload)[0])


def encode_compensation(compensation: Compensation) -> bytes:
    """Write a compensation."""
    return _COMPENSATION.pack(compensation.undone, compensation.undo_next)


def decode_compensation(payload: bytes) -> Compensation:
    """Read a compensation.

    Raises:
        StoreDamagedError: If it makes no sense.
    """
    undone, undo_next = _checked(_COMPENSATION.unpack, payload)
    return Compensation(undone=undone, undo_next=undo_next)


def encode_dependences(dependences: Iterable[tuple[int, int]]) -> bytes:
    """Write which transactions, up to which of their operations, one depends on."""
    return b"".join(_COMPENSATION.pack(*pair) for pair in dependences)


def decode_dependences(payload: bytes) -> dict[int, int]:
    """Read which transactions, up to which of their operations, one depends on.

    Raises:
        StoreDamagedError: If they make no sense.
    """
    return dict(_checked(lambda data: [*_COMPENSATION.iter_unpack(data)], payload))


def _decode_operation(payload: bytes) -> LoggedOperation:
    (
        kind,
        redo,
        has_base,
        number,
        mode,
        folder_inode,
        staged_inode,
        staged_size,
        staged_mtime_ns,
        digest,
    ) = _OPERATION.unpack_from(payload)
    at = _OPERATION.size
    base = _decode_signature(payload, at) if has_base else None
    at += _SIGNATURE.size if has_base else 0
    (length,) = _LENGTH.unpack_from(payload, at)
    at += _LENGTH.size
    path = os.fsdecode(payload[at : at + length])
    kind = OperationKind(kind)
    return LoggedOperation(
        number=number,
        kind=kind,
        step=step_for(kind, path, number, staged_inode=staged_inode, base=base),
        folder_inode=folder_inode,
        staged_size=staged_size,
        staged_mtime_ns=staged_mtime_ns,
        mode=mode,
        redo=Redo(redo),
        digest=digest,
        content=payload[at + length :],
    )


def _decode_noted(payload: bytes) -> Noted:
    content, has_entry, path_bytes, entry_bytes = _NOTED.unpack_from(payload)
    entry_at = _NOTED.size + path_bytes
    data_at = entry_at + entry_bytes
    path = payload[_NOTED.size : entry_at]
    _check_path(path)
    entry = entry_from_json(json.loads(payload[entry_at:data_at])) if has_entry else None
    if entry is not None:
        entry = replace(entry, name=path.rpartition(b"/")[2])
    return Noted(path=path, entry=entry, content=Content(content), data=payload[data_at:])


def _check_path(path: bytes) -> None:
    """Refuse a path that leads out of the folder, whoever wrote it."""
    if path and {b"", b".", b".."} & set(path.split(b"/")):
        raise ValueError(f"{path!r} is no path in a folder")


def _encode_signature(signature: Signature) -> bytes:
    return _SIGNATURE.pack(
        signature.mode,
        signature.uid,
        signature.gid,
        signature.size,
        signature.mtime_ns,
        signature.ctime_ns,
        signature.inode,
        signature.device,
        bytes.fromhex(signature.digest),
    )


def _decode_signature(payload: bytes, at: int) -> Signature:
    mode, uid, gid, size, mtime_ns, ctime_ns, inode, device, digest = _SIGNATURE.unpack_from(
        payload, at
    )
    return Signature(
        mode=mode,
        uid=uid,
        gid=gid,
        size=size,
        mtime_ns=mtime_ns,
        ctime_ns=ctime_ns,
        inode=inode,
        device=device,
        digest=digest.hex() if any(digest) else "",
    )


def _checked(decode: Callable[[bytes], T], payload: bytes) -> T:
    """Read what has a good checksum, and may still be of another make."""
    try:
        return decode(payload)
    except (struct.error, ValueError, KeyError, TypeError) as exc:
        raise StoreDamagedError(f"a record of the transaction log makes no sense: {exc}") from exc
