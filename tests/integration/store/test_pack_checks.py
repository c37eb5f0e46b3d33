"""Packs that are checked by worker processes: the same is found, and nothing is lost with a worker."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.storing import flip, made

from resile.errors import OperationError, SpawnError
from resile.store import Repository, pack_checks, take_snapshot, verify
from resile.store.backends.local import LocalBackend
from resile.store.workers import Workers

KEY = b"k" * 32
Harm = Callable[[Path], object]


@pytest.fixture(params=[None, KEY], ids=["open", "encrypted"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pressed").write_bytes(b"a text that is pressed together " * 1000)
    (source / "noise").write_bytes(random.Random(1).randbytes(700_000))
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache", key=request.param) as store:
        take_snapshot(store, source)
        (source / "more").write_bytes(random.Random(2).randbytes(300_000))
        take_snapshot(store, source)
        yield store


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[Workers]:
    """Have every store checked by workers; gives those that there were."""
    used: list[Workers] = []

    class Noted(Workers):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            used.append(self)

    monkeypatch.setattr(pack_checks, "SHARED_BYTES_MIN", 0)
    monkeypatch.setattr(pack_checks, "Workers", Noted)
    return used


@pytest.mark.parametrize(
    ("harm", "is_found"),
    [
        (lambda pack: None, False),
        (lambda pack: flip(pack, 1000), True),
        (lambda pack: flip(pack, pack.stat().st_size * 8 - 1000), True),
        (lambda pack: pack.write_bytes(pack.read_bytes()[:-5]), True),
        (lambda pack: pack.unlink(), True),
        (lambda pack: (pack.unlink(), pack.symlink_to("/dev/zero")), True),
    ],
    ids=["nothing", "a frame", "the table", "cut", "missing", "a link"],
)
def test_workers_find_what_threads_find(
    store: Repository,
    harm: Harm,
    is_found: bool,
    shared: list[Workers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for pack in (Path(store.backend.url) / "packs").iterdir():
        harm(pack)

    found = verify(store, data=True)

    assert shared
    assert bool(found.flaws) == is_found
    monkeypatch.undo()
    assert found == verify(store, data=True)


def test_a_worker_that_is_killed_ends_the_check_with_an_error(
    store: Repository, shared: list[Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Doomed(Workers):
        def submit(self, task: Any) -> Any:
            with suppress(ProcessLookupError):  # It is gone since the first task.
                os.kill(self._all[0].pid, signal.SIGKILL)
            return super().submit(task)

    monkeypatch.setattr(pack_checks, "Workers", Doomed)

    with pytest.raises(OperationError, match="ended by signal 9"):
        verify(store, data=True)


def test_threads_check_where_no_process_can_be_started(
    store: Repository, shared: list[Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise SpawnError("no more processes")

    monkeypatch.setattr(pack_checks, "Workers", refuse)

    assert verify(store, data=True).is_sound
