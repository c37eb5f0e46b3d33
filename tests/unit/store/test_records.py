"""Folders, snapshots, marks and the file `format`: read as written, or refused."""

import json
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from tests.support.formats import (
    KEYS,
    NOW,
    REFUSED,
    assert_refused,
    flipped,
    identity,
    write_record,
)

from resile.errors import NotAStoreError, StoreDamagedError
from resile.store.format.frames import (
    FileKind,
)
from resile.store.format.packs import (
    Coder,
    read_record,
)
from resile.store.format.records import (
    decode_identity,
    decode_mark,
    decode_snapshot,
    encode_identity,
    encode_mark,
    encode_snapshot,
)
from resile.store.format.trees import (
    decode_ids,
    decode_tree,
    encode_ids,
    encode_parts,
    encode_tree,
    entry_to_json,
)
from resile.store.model import (
    Counts,
    Entry,
    EntryType,
    Mark,
    MarkKind,
    Snapshot,
    Unread,
)

NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: name not in (b".", b"..") and not set(name) & {0, 47}
)
IDS = st.binary(min_size=32, max_size=32)


@st.composite
def entries(draw: st.DrawFn, name: bytes) -> Entry:
    kind = draw(st.sampled_from(EntryType))
    facts: dict[str, Any] = {}
    if kind is EntryType.FILE:
        size = draw(st.integers(0, 2**40))
        facts = {
            "size": size,
            "chunks": tuple(draw(st.lists(IDS, max_size=3))),
            "lists": tuple(draw(st.lists(IDS, max_size=2))),
            "extents": ((0, size),) if size and draw(st.booleans()) else None,
            "hard_link": draw(st.sampled_from(["", "801:5"])),
            "origin": draw(st.sampled_from(["", "sqlite"])),
        }
    elif kind is EntryType.FOLDER:
        facts = {"tree": draw(IDS)}
    elif kind is EntryType.LINK:
        facts = {"target": draw(NAMES)}
    elif kind in (EntryType.CHAR, EntryType.BLOCK):
        facts = {"rdev": draw(st.integers(0, 2**32))}
    return Entry(
        name=name,
        type=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 2)),
        gid=draw(st.integers(0, 2**32 - 2)),
        mtime_ns=draw(st.integers(-(2**92), 2**92)),
        xattrs=draw(
            st.dictionaries(
                st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
                st.binary(max_size=9),
                max_size=2,
            )
        ),
        **facts,
    )


@given(data=st.data(), names=st.sets(NAMES, max_size=5))
def test_a_folder_is_read_as_it_was_written(data: st.DataObject, names: set[bytes]) -> None:
    folder = tuple(data.draw(entries(name)) for name in sorted(names))
    parts = tuple(data.draw(st.lists(IDS, max_size=3)))

    assert decode_tree(encode_tree(folder), "it") == (folder, ())
    assert decode_tree(encode_parts(parts), "it") == ((), parts)
    assert decode_ids(encode_ids(parts), "it") == parts


def tree_json(*changes: dict[str, Any], **more: Any) -> bytes:
    """A folder of one file for each change that is made to it."""
    plain = entry_to_json(plain_file())
    made = [{k: v for k, v in (plain | one).items() if v is not None} for one in changes]
    return json.dumps({"version": 1, "entries": made, **more}).encode()


def plain_file(name: bytes = b"a", **more: Any) -> Entry:
    facts = {"type": EntryType.FILE, "mode": 0o644, "uid": 1, "gid": 2, "mtime_ns": 3, **more}
    return Entry(name=name, **facts)


HOSTILE_ENTRIES: dict[str, dict[str, Any]] = {
    "parent": {"name": ".."},
    "itself": {"name": "."},
    "slash": {"name": "a/b"},
    "absolute": {"name": "/etc/passwd"},
    "zero byte": {"name": "a\0b"},
    "empty": {"name": ""},
    "slash in hex": {"name": None, "name_hex": b"../x".hex()},
    "no text": {"name": 5},
    "no name": {"name": None},
    "half a surrogate": {"name": "\ud800"},
    "no hex": {"name": None, "name_hex": "zz"},
    "mode": {"mode": 0o10000},
    "mode is true": {"mode": True},
    "owner": {"uid": -1},
    "owner that means none": {"gid": 2**32 - 1},
    "size": {"size": -5},
    "huge size": {"size": 2**63},
    "time is a text": {"mtime_ns": "1"},
    "time is endless": {"mtime_ns": float("inf")},
    "time is no number": {"mtime_ns": float("nan")},
    "time is far": {"mtime_ns": 10**30},
    "unknown type": {"type": "door"},
    "type is a list": {"type": []},
    "short id": {"chunks": ["00"]},
    "ids are numbers": {"chunks": [1]},
    "chunks are none": {"chunks": 7},
    "extent beyond": {"size": 10, "extents": [[5, 6]]},
    "extents overlap": {"size": 10, "extents": [[0, 5], [4, 1]]},
    "empty extent": {"size": 10, "extents": [[0, 0]]},
    "extents of three": {"size": 10, "extents": [[0, 1, 2]]},
    "folder of nothing": {"type": "folder"},
    "link to nowhere": {"type": "link"},
    "link to an empty name": {"type": "link", "target": ""},
    "link with a zero byte": {"type": "link", "target": "a\0"},
    "attribute with a zero byte": {"xattrs": {"user.\0": ""}},
    "attribute without a name": {"xattrs": {"": ""}},
    "attribute that is no hex": {"xattrs": {"user.a": "g"}},
    "attributes are a list": {"xattrs": []},
    "device": {"type": "char", "rdev": -1},
}


@pytest.mark.parametrize("case", HOSTILE_ENTRIES)
def test_a_hostile_entry_is_refused(case: str) -> None:
    assert decode_tree(tree_json({}), "it")

    with pytest.raises(StoreDamagedError, match="it is no folder"):
        decode_tree(tree_json(HOSTILE_ENTRIES[case]), "it")


@pytest.mark.parametrize(
    "data",
    [
        tree_json({"name": "b"}, {"name": "a"}),
        tree_json({"name": "a"}, {"name": "a"}),
        tree_json({"name": "a"}, {"name": None, "name_hex": "61"}),
        tree_json({}, version=2),
        tree_json({}, version=None),
        b'{"entries":[]}',
        b"[]",
        b"null",
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"version":1,"entries":' + b"[" * 100_000,
        b'{"version":1,"entries":{"a":1}}',
        b'{"version":1,"parts":["00"]}',
        b'{"version":1,"parts":' + b"9" * 5000 + b"}",
    ],
    ids=lambda data: data[:40].decode("latin-1"),
)
def test_a_hostile_folder_is_refused(data: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        decode_tree(data, "it")


def test_a_folder_that_is_cut_is_refused() -> None:
    data = encode_tree([plain_file(), plain_file(b"b\xff", chunks=(bytes(32),), size=4)])

    for length in range(len(data)):
        with pytest.raises(StoreDamagedError):
            decode_tree(data[:length], "it")


# Records


def a_snapshot(**more: Any) -> Snapshot:
    facts = {
        "snapshot_id": "3f" * 32,
        "source": "/srv/\\xff",
        "host": "h",
        "user": "u",
        "started_at": NOW,
        "finished_at": NOW,
        "root": plain_file(b"", type=EntryType.FOLDER, tree=b"t" * 32),
        "tags": ("a", "b"),
        "parent": "2e" * 32,
        "counts": Counts(files=1, folders=2, bytes=3, new_bytes=4, stored_bytes=5),
        "unread": (Unread(path="a", reason="b"),),
        "excludes": ("*.tmp", "build/*"),
        "is_one_file_system": True,
        **more,
    }
    return Snapshot(**facts)


MARK = Mark(kind=MarkKind.DOOMED, created_at=NOW, name="marks/a", packs=("packs/a", "packs/b"))


def test_records_are_read_as_they_were_written() -> None:
    one = a_snapshot()

    assert decode_identity(encode_identity(identity()), "u") == identity()
    assert decode_snapshot(encode_snapshot(one), f"snapshots/{one.snapshot_id}") == one
    assert decode_mark(encode_mark(MARK), "marks/a") == MARK


def test_a_snapshot_that_tells_no_rules_left_nothing_out() -> None:
    facts = json.loads(encode_snapshot(a_snapshot()))
    del facts["excludes"], facts["one_file_system"]

    read = decode_snapshot(json.dumps(facts).encode(), f"snapshots/{'3f' * 32}")

    assert read == a_snapshot(excludes=(), is_one_file_system=False)


def test_a_format_file_is_refused_when_cut_or_damaged_anywhere() -> None:
    data = encode_identity(identity(KEYS["encrypted"])).rstrip(b"\n")

    assert_refused(data, lambda changed: decode_identity(changed, "u"))
    for bit in range(len(data) * 8):
        with pytest.raises(REFUSED):
            decode_identity(flipped(data, bit), "u")


@pytest.mark.parametrize("how", KEYS)
def test_a_record_file_is_refused_when_cut_or_damaged_anywhere(how: str) -> None:
    keys = KEYS[how]
    name, data = write_record(keys, encode_snapshot(a_snapshot()))

    def read(changed: bytes) -> bytes:
        return read_record(changed, FileKind.SNAPSHOT, keys=keys, coder=Coder(), name=name)

    assert decode_snapshot(read(data), name).source == "/srv/\\xff"
    assert_refused(data, read)


def test_a_record_of_another_kind_is_refused() -> None:
    name, data = write_record(KEYS["plain"], encode_mark(MARK), FileKind.MARK)

    with pytest.raises(StoreDamagedError, match="is a mark, not a snapshot"):
        read_record(data, FileKind.SNAPSHOT, keys=KEYS["plain"], coder=Coder(), name=name)


def changed_json(record: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(record) | changes).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"started_at": "2026-11-22T10:15:00"},
        {"started_at": 5},
        {"finished_at": "soon"},
        {"root": entry_to_json(plain_file(b""))},
        {"root": []},
        {"counts": {}},
        {"counts": {"files": float("inf")}},
        {"unread": [1]},
        {"unread": None},
        {"tags": 5},
    ],
    ids=str,
)
def test_a_hostile_snapshot_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreDamagedError):
        decode_snapshot(changed_json(encode_snapshot(a_snapshot()), **changes), "snapshots/a")


@pytest.mark.parametrize(
    "changes",
    [{"version": 2}, {"kind": "loved"}, {"kind": []}, {"created_at": "x"}, {"packs": 1}],
    ids=str,
)
def test_a_hostile_mark_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreDamagedError):
        decode_mark(changed_json(encode_mark(MARK), **changes), "marks/a")


@pytest.mark.parametrize("changes", [{"store": "00"}, {"created_at": "2026-11-22"}], ids=str)
def test_a_hostile_format_file_is_refused(changes: dict[str, Any]) -> None:
    facts = json.loads(encode_identity(identity())) | changes
    del facts["check"]
    whole = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    facts["check"] = blake3(whole).hexdigest()

    with pytest.raises(StoreDamagedError):
        decode_identity(json.dumps(facts).encode(), "u")


def test_a_format_of_a_version_to_come_says_what_to_do() -> None:
    with pytest.raises(NotAStoreError, match="version 2") as caught:
        decode_identity(changed_json(encode_identity(identity()), version=2), "u")

    assert "pip install -U" in caught.value.hint


@given(st.binary(max_size=60))
def test_no_noise_is_a_record(data: bytes) -> None:
    for read in (decode_identity, decode_snapshot, decode_mark, decode_tree):
        with pytest.raises(REFUSED):
            read(data, "name")
