"""A snapshot that a program asks for: of the storekeeper, or taken here, or refused in words."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import resile
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import ConfigError, DaemonUnreachableError, StoreError
from resile.store import KEEPER_SOCKET_NAME, cache_folder, open_backend, open_store, read_key

WHY = {"new": 1, "changed": 2, "touched": 0, "recent": 0}
TAKEN = {"id": "ab12", "is_changed": True, "why": WHY}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(STATE_VARIABLE, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kb"
    made.mkdir()
    (made / "note").write_text("note")
    return made


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this process one of a system, whose storekeeper is away."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    (tmp_path / "state" / "run").mkdir(parents=True)
    return tmp_path / "state"


@contextlib.contextmanager
def keeper(state: Path, answer: Mapping[str, Any] | bytes) -> Iterator[list[Any]]:
    """Give one answer; the list gets the question."""
    asked: list[Any] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(json.loads(connection.makefile("rb").readline()))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
            connection.sendall(data)

    with contextlib.chdir(state / "run"), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(KEEPER_SOCKET_NAME)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()


def tags_in(place: Path, **more: Any) -> list[tuple[str, ...]]:
    store = open_store(open_backend(place), cache=cache_folder(os.environ), **more)
    with contextlib.closing(store):
        return [one.tags for one in store.snapshots()]


def test_outside_of_any_system_a_store_must_be_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no store is named") as caught:
        resile.snapshot(folder)

    assert "store=" in caught.value.hint


def test_without_its_storekeeper_it_is_told_that_this_may_pass(folder: Path, state: Path) -> None:
    with pytest.raises(DaemonUnreachableError) as caught:
        resile.snapshot(folder)

    assert caught.value.is_transient


@pytest.mark.parametrize("answer", [b"", b"[]\n", b"nonsense\n"])
def test_storekeeper_that_dies_while_it_is_asked_may_be_asked_again(
    folder: Path, state: Path, answer: bytes
) -> None:
    with keeper(state, answer), pytest.raises(DaemonUnreachableError):
        resile.snapshot(folder, timeout_s=10)


def test_silence_ends_in_time_and_is_not_done_again_here(
    folder: Path, state: Path, tmp_path: Path
) -> None:
    with contextlib.chdir(state / "run"), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(KEEPER_SOCKET_NAME)
        listener.listen()
        with pytest.raises(StoreError, match=r"within 0\.01 s") as caught:
            resile.snapshot(folder, store=tmp_path / "store", timeout_s=0.01)

    assert caught.value.is_transient
    assert not (tmp_path / "store").exists()


def test_failure_of_the_storekeeper_is_told_as_it_is(folder: Path, state: Path) -> None:
    with (
        keeper(state, {"error": "the disk is full", "hint": "free some"}),
        pytest.raises(StoreError, match="the disk is full") as caught,
    ):
        resile.snapshot(folder)

    assert caught.value.hint == "free some"


@pytest.mark.parametrize("answer", [{}, {"id": 5}, {**TAKEN, "why": None}])
def test_answer_of_another_version_is_told(
    folder: Path, state: Path, answer: Mapping[str, Any]
) -> None:
    with keeper(state, answer), pytest.raises(StoreError, match="cannot be read"):
        resile.snapshot(folder)


def test_folder_that_the_system_does_not_keep_is_told(folder: Path, state: Path) -> None:
    with (
        keeper(state, {"unknown": True}),
        pytest.raises(ConfigError, match="takes no snapshots of") as caught,
    ):
        resile.snapshot(folder)

    assert "[snapshot.NAME]" in caught.value.hint


def test_storekeeper_is_asked_for_a_checkpoint(folder: Path, state: Path) -> None:
    with keeper(state, TAKEN) as asked, contextlib.chdir(folder.parent):
        taken = resile.snapshot("kb", tags=["before"])

    assert asked == [{"snapshot": str(folder), "tags": ["before", "checkpoint"]}]
    assert (taken.snapshot_id, taken.is_changed, taken.why.changed) == ("ab12", True, 2)


def test_what_is_to_stay_is_no_checkpoint(folder: Path, state: Path, tmp_path: Path) -> None:
    with keeper(state, TAKEN) as asked:
        resile.snapshot(folder, is_kept=True, store=tmp_path / "store")

    assert asked[0]["tags"] == []
    assert asked[0]["store"] == open_backend(tmp_path / "store").url


def test_named_store_takes_it_where_the_system_does_not(
    folder: Path, state: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"

    with keeper(state, {"unknown": True}):
        first = resile.snapshot(folder, tags=["one"], store=place)
    second = resile.snapshot(folder, tags=["two"], store=str(place))

    assert tags_in(place) == [("checkpoint", "one"), ("checkpoint", "two")]
    assert (first.is_changed, first.why.new) == (True, 1)
    assert first.snapshot_id != second.snapshot_id


def test_storekeeper_is_told_how_old_it_may_be(folder: Path, state: Path) -> None:
    with keeper(state, TAKEN) as asked:
        resile.snapshot(folder, reuse_within_s=2)

    assert asked[0]["reuse_within_s"] == 2


def test_where_nothing_changed_an_earlier_one_will_do(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "store"

    first = resile.snapshot(folder, tags=["one"], store=place, reuse_within_s=60)
    second = resile.snapshot(folder, tags=["two"], store=place, reuse_within_s=60)
    (folder / "note").write_text("another")
    third = resile.snapshot(folder, tags=["three"], store=place, reuse_within_s=60)

    assert second.snapshot_id == first.snapshot_id
    assert (second.is_changed, third.is_changed) == (False, True)
    assert tags_in(place) == [("checkpoint", "one"), ("checkpoint", "three")]


def test_what_is_to_stay_is_never_an_earlier_one(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which may go"):
        resile.snapshot(folder, store=tmp_path / "store", is_kept=True, reuse_within_s=1)

    assert not (tmp_path / "store").exists()


def test_store_is_made_with_its_key(folder: Path, tmp_path: Path) -> None:
    place, key_file = tmp_path / "store", tmp_path / "key"

    for _ in range(2):
        resile.snapshot(folder, store=place, key_file=key_file)

    assert len(tags_in(place, key=read_key(key_file))) == 2
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read as a folder"):
        resile.snapshot(tmp_path / "missing", store=tmp_path / "store")
