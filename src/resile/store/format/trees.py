"""Folders as JSON, and back: the tree blobs of a store."""

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from resile.errors import StoreDamagedError
from resile.store.model import ENTRIES_PER_TREE_MAX, ID_BYTES, Entry, EntryType

_VERSION = 1
_MODE_MAX = 0o7777
_OWNER_MAX = 2**32 - 2
"""The number above it means `leave it as it is` to the kernel."""
_SIZE_MAX = 2**63 - 1
_TIME_MAX = 2**63 * 10**9 - 1
"""The kernel counts seconds in 64 bits; ext4 knows times until 2446, where nanoseconds need more."""
_DEVICE_MAX = 2**64 - 1


Plain = dict[str, Any]
"""An entry as JSON has it: what is taken over as it was need not be understood."""


def encode_tree(entries: Sequence[Entry]) -> bytes:
    """Write a folder of at most 10,000 entries, which must be sorted by name.

    Raises:
        AssertionError: If there are more.
    """
    return encode_plain([entry_to_json(entry) for entry in entries])


def encode_plain(entries: Sequence[Plain]) -> bytes:
    """Write a folder of entries that are JSON already, as `encode_tree` does."""
    if len(entries) > ENTRIES_PER_TREE_MAX:
        raise AssertionError(f"{len(entries)} entries in one tree blob")
    return _dump({"version": _VERSION, "entries": entries})


def encode_parts(parts: Sequence[bytes]) -> bytes:
    """Write a folder whose entries stand in the tree blobs with these ids."""
    return _dump({"version": _VERSION, "parts": [part.hex() for part in parts]})


def decode_tree(data: bytes, what: str) -> tuple[tuple[Entry, ...], tuple[bytes, ...]]:
    """Read a tree blob: its entries, or the ids of its parts.

    Names that would lead out of the folder are refused, whoever wrote them.

    Raises:
        StoreDamagedError: If it is none; `what` names it in the message.
    """
    try:
        tree = json.loads(data)
        _check_version(tree["version"])
        parts = tuple(_id(part) for part in tree.get("parts", ()))
        entries = tuple(entry_from_json(entry) for entry in tree.get("entries", ()))
        _check_names([entry.name for entry in entries])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreDamagedError(f"{what} is no folder: {exc}") from exc
    return entries, parts


def decode_plain(data: bytes, what: str) -> tuple[list[Plain], tuple[bytes, ...]]:
    """Read a tree blob of our own, checked by its id, without looking at its entries.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        tree = json.loads(data)
        _check_version(tree["version"])
        return tree.get("entries", []), tuple(_id(part) for part in tree.get("parts", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreDamagedError(f"{what} is no folder: {exc}") from exc


def name_of(entry: Plain) -> str:
    """Give the name of an entry as the system gives it: bytes that are no UTF-8 escaped.

    Raises:
        ValueError, KeyError: If it has none.
    """
    name = entry.get("name")
    return name if isinstance(name, str) else os.fsdecode(bytes.fromhex(entry["name_hex"]))


def entry_to_json(entry: Entry) -> Plain:
    """Write an entry; what is empty is left out."""
    data: dict[str, Any] = _text("name", entry.name)
    data["type"] = entry.type.value
    data["mode"] = entry.mode
    data["uid"] = entry.uid
    data["gid"] = entry.gid
    data["mtime_ns"] = entry.mtime_ns
    if entry.type is EntryType.FILE:
        _write_content(data, entry)
    elif entry.type is EntryType.FOLDER:
        data["tree"] = entry.tree.hex()
    elif entry.type is EntryType.LINK:
        data |= _text("target", entry.target)
    elif entry.rdev:
        data["rdev"] = entry.rdev
    if entry.xattrs:
        data["xattrs"] = {name: entry.xattrs[name].hex() for name in sorted(entry.xattrs)}
    return data


def entry_from_json(data: dict[str, Any]) -> Entry:
    """Read an entry.

    Raises:
        ValueError, KeyError, TypeError: If it is none.
    """
    get = data.get
    kind = EntryType(data["type"])
    # Most keys are mostly missing, and there is an entry for each file of a snapshot.
    chunks, lists, extents, xattrs = get("chunks"), get("lists"), get("extents"), get("xattrs")
    entry = Entry(
        name=_bytes("name", data),
        type=kind,
        mode=read_number(data["mode"], _MODE_MAX),
        uid=read_number(data["uid"], _OWNER_MAX),
        gid=read_number(data["gid"], _OWNER_MAX),
        mtime_ns=read_number(data["mtime_ns"], _TIME_MAX, least=-_TIME_MAX),
        size=read_number(get("size", 0)),
        chunks=tuple(map(_id, chunks)) if chunks else (),
        lists=tuple(map(_id, lists)) if lists else (),
        extents=None
        if extents is None
        else tuple((read_number(a), read_number(b)) for a, b in extents),
        tree=_id(data["tree"]) if kind is EntryType.FOLDER else b"",
        target=_target(data) if kind is EntryType.LINK else b"",
        rdev=read_number(get("rdev", 0), _DEVICE_MAX),
        xattrs={} if xattrs is None else _xattrs(xattrs),
        hard_link=str(get("hard_link", "")),
        origin=str(get("origin", "")),
    )
    if extents:
        _check_extents(entry)
    return entry


def read_number(value: object, most: int = _SIZE_MAX, *, least: int = 0) -> int:
    """Read a number within its limits.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{str(value)[:40]} is no number that can be here")
    return value


def encode_ids(ids: Sequence[bytes]) -> bytes:
    """Write a list of ids, for a file with very many chunks."""
    return _dump([one.hex() for one in ids])


def decode_ids(data: bytes, what: str) -> tuple[bytes, ...]:
    """Read a list of ids.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        return tuple(_id(one) for one in json.loads(data))
    except (ValueError, TypeError, RecursionError) as exc:
        raise StoreDamagedError(f"{what} is no list of chunks: {exc}") from exc


def _write_content(data: dict[str, Any], entry: Entry) -> None:
    data["size"] = entry.size
    if entry.chunks:
        data["chunks"] = [chunk.hex() for chunk in entry.chunks]
    if entry.lists:
        data["lists"] = [chunk.hex() for chunk in entry.lists]
    if entry.extents is not None:
        data["extents"] = [list(extent) for extent in entry.extents]
    if entry.hard_link:
        data["hard_link"] = entry.hard_link
    if entry.origin:
        data["origin"] = entry.origin


def _target(data: dict[str, Any]) -> bytes:
    target = _bytes("target", data)
    if not target or b"\0" in target:
        raise ValueError(f"a link points to {target!r}")
    return target


def _xattrs(data: dict[str, Any]) -> dict[str, bytes]:
    xattrs = {key: bytes.fromhex(value) for key, value in data.items()}
    if any(not key or "\0" in key for key in xattrs):
        raise ValueError("an attribute has no name that can be")
    return xattrs


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise ValueError(f"version {version}")


def _check_names(names: list[bytes]) -> None:
    for name in names:
        if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
            raise ValueError(f"{name!r} is no name")
    if any(before >= after for before, after in pairwise(names)):
        raise ValueError("its names are not in order")


def _check_extents(entry: Entry) -> None:
    end = 0
    for offset, length in entry.extents or ():
        if offset < end or not length or offset + length > entry.size:
            raise ValueError(f"extents of {entry.name!r} overlap or end beyond its size")
        end = offset + length


def _text(key: str, value: bytes) -> dict[str, Any]:
    try:
        return {key: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{key}_hex": value.hex()}


def _bytes(key: str, data: dict[str, Any]) -> bytes:
    if isinstance(text := data.get(key), str):
        return text.encode("utf-8")
    return bytes.fromhex(data[f"{key}_hex"])


def _id(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != ID_BYTES:
        raise ValueError(f"{text!r} is no id")
    return value


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
