"""The files of a run's folder that must not lie: versioned, checksummed, written all or nothing.

A record is one line of JSON with the format, the version and the SHA-256 of the rest, then the
rest. A damaged one is an error that names the file, never a guess.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from resile.contain.transaction.model import Sealed, SealedRecord, Staging
from resile.core.codec import decode, encode
from resile.core.files import SYSTEM_FILES, Files, write_atomic, write_durable
from resile.errors import OperationError, TransactionError

VERSION = 1
RECORD_NAME = "tx.json"
SEALED_NAME = "ready.json"
WAL_NAME = "wal"
DONE_NAME = "done"
DISCARDED_NAME = "discarded"
MANIFEST_NAME = "manifest"

T = TypeVar("T")


def write_record(
    path: Path, value: object, *, files: Files = SYSTEM_FILES, is_durable: bool = True
) -> None:
    """Write a value made of what `core.codec` knows, all or nothing.

    Args:
        path: Where.
        value: What.
        files: The effects.
        is_durable: It outlives a power cut when this returns; else only a crash of the process.

    Raises:
        TransactionError: If it could not be written.
    """
    body = json.dumps(encode(value), separators=(",", ":")).encode()
    head = {
        "format": "resile-transaction",
        "version": VERSION,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    data = json.dumps(head).encode() + b"\n" + body
    try:
        if is_durable:
            write_durable(path, data, files=files)
        else:
            write_atomic(path, data)
    except OperationError as exc:
        raise TransactionError(exc.message, hint=exc.hint, is_transient=exc.is_transient) from exc


def read_record(path: Path, kind: type[T]) -> T:
    """Read a value back.

    Raises:
        FileNotFoundError: If there is none.
        TransactionError: If it is damaged, cannot be read, or is of a version to come.
    """
    try:
        return decode(kind, _read_body(path))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise TransactionError(
            f"{path} cannot be read: {exc}",
            hint="It is damaged, or of another version of resile; the workspace is untouched.",
        ) from exc


def read_sealed(folder: Path) -> SealedRecord:
    """Read what the workspaces' changes are.

    Raises:
        TransactionError: If the transaction is not sealed, or this is damaged.
    """
    try:
        return read_record(folder / SEALED_NAME, SealedRecord)
    except FileNotFoundError as exc:
        raise TransactionError(
            f"the transaction {folder.name} is not sealed",
            hint="Its command has not ended, or died with its supervisor: discard it then.",
        ) from exc


def replace_parts(folder: Path, parts: tuple[Sealed, ...], *, files: Files) -> None:
    """Write what is left of the changes; durable when it returns.

    Raises:
        TransactionError: If it could not be written.
    """
    write_record(folder / SEALED_NAME, replace(read_sealed(folder), parts=parts), files=files)


def folder_of(folder: Path, number: int) -> Path:
    """Give the folder of a workspace within a run's folder."""
    return folder / f"w{number}"


def staged_root(folder: Path, number: int, staging: Staging) -> Path:
    """Give the folder that holds what was changed: an upper folder, or a copy."""
    return folder_of(folder, number) / ("copy" if staging is Staging.COPY else "upper")


def _read_body(path: Path) -> Any:
    head, _, body = path.read_bytes().partition(b"\n")
    facts = json.loads(head)
    if facts["format"] != "resile-transaction" or facts["version"] != VERSION:
        raise ValueError(f"version {facts['version']} of {facts['format']} is not known")
    if hashlib.sha256(body).hexdigest() != facts["sha256"]:
        raise ValueError("the checksum does not hold")
    return json.loads(body)
