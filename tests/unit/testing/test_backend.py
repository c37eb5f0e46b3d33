"""The backend that fails on purpose does so at the call that was chosen, and only there."""

from collections.abc import Callable

import pytest

from resile.errors import StoreError
from resile.store.backends import Backend, put
from resile.store.backends.memory import MemoryBackend
from resile.testing import Crash
from resile.testing.backend import FaultyBackend

CALLS: dict[str, Callable[[Backend], object]] = {
    "begin": lambda b: b.begin(),
    "read packs/a": lambda b: b.read("packs/a"),
    "list packs": lambda b: list(b.list("packs")),
    "list": lambda b: list(b.list("")),
    "remove packs/a": lambda b: b.remove("packs/a"),
    "move packs/a packs/b": lambda b: b.move("packs/a", "packs/b"),
    "hold": lambda b: b.hold(is_exclusive=True).__enter__(),
    "sweep": lambda b: b.sweep(),
}


@pytest.fixture
def place() -> MemoryBackend:
    made = MemoryBackend()
    put(made, "packs/a", b"a")
    return made


@pytest.mark.parametrize("call", CALLS)
def test_every_call_can_fail_and_does_nothing_then(place: MemoryBackend, call: str) -> None:
    backend = FaultyBackend(place, fail_at=1)

    with pytest.raises(StoreError, match="the place failed"):
        CALLS[call](backend)

    assert backend.calls == [call]
    assert [file.name for file in place.list("packs")] == ["packs/a"]
    CALLS[call](backend)


@pytest.mark.parametrize("call", CALLS)
def test_a_dead_process_does_nothing_more(place: MemoryBackend, call: str) -> None:
    backend = FaultyBackend(place, crash_at=2)
    assert backend.read("packs/a") == b"a"

    for _ in range(2):
        with pytest.raises(Crash):
            CALLS[call](backend)

    assert [file.name for file in place.list("packs")] == ["packs/a"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_step_of_an_upload_can_fail(place: MemoryBackend, number: int) -> None:
    backend = FaultyBackend(place, fail_at=number)

    with pytest.raises(StoreError):
        put(backend, "packs/b", b"b")

    assert [file.name for file in place.list("packs")] == ["packs/a"]
    assert put(backend, "packs/b", b"b")


def test_an_answer_can_be_lost(place: MemoryBackend) -> None:
    backend = FaultyBackend(place, fail_at=3, is_done=True)

    with pytest.raises(StoreError):
        put(backend, "packs/b", b"b")

    assert place.read("packs/b") == b"b"


def test_a_write_can_be_a_lie(place: MemoryBackend) -> None:
    backend = FaultyBackend(place, lie_at=2)

    assert put(backend, "packs/b", b"true")

    assert backend.read("packs/b") == b"\0\0\0\0"
    assert backend.calls == ["begin", "write", "publish packs/b", "read packs/b"]


def test_an_error_can_be_chosen(place: MemoryBackend) -> None:
    error = StoreError("mine")

    with pytest.raises(StoreError) as caught:
        FaultyBackend(place, fail_at=1, error=error).sweep()

    assert caught.value is error


def test_it_is_a_backend(place: MemoryBackend) -> None:
    backend = FaultyBackend(place)

    with backend.hold(is_exclusive=True):
        assert put(backend, "packs/b", b"b")
    backend.begin().abandon()

    assert backend.url == place.url
    assert backend.sweep() == 0
