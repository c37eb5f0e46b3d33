"""A process that dies at any step of an outbox loses nothing that was acknowledged."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.killing import die_at, use_killing_connections

from resile.degradation import Message, Outbox, OutboxLimits

LIMITS = OutboxLimits(attempts=50, initial=0.01, max=0.01, lease=0.1)


@pytest.fixture(autouse=True)
def killing(monkeypatch: pytest.MonkeyPatch) -> None:
    use_killing_connections(monkeypatch)


def all_of(path: Path) -> list[Any]:
    """Send all that is there, whoever held it when he died."""
    got: list[Any] = []
    with Outbox(path, LIMITS) as outbox:
        with outbox._table._transaction() as sql:
            sql.execute("update message set boot = ''")
            assert sql.execute("pragma integrity_check").fetchone() == ("ok",)
        drained = outbox.drain(lambda message: got.append(message.value))
        assert (drained.waiting, outbox.dead()) == (0, ())
    return got


def test_whatever_was_put_is_there_after_a_kill_at_each_step(tmp_path: Path) -> None:
    def work(note: Callable[[int], None]) -> None:
        outbox = Outbox(path, LIMITS)
        for number in range(2):
            outbox.put(number, id=str(number))
            note(number)

    is_killed, step = True, 0
    while is_killed:
        path = tmp_path / str(step)
        is_killed, noted = die_at(step, work)
        step += 1
        found = all_of(path)
        assert found[: len(noted)] == noted
        assert found in ([], [0], [0, 1])
    assert step > 20


def test_whatever_was_put_is_sent_at_least_once_and_in_order(tmp_path: Path) -> None:
    def work(note: Callable[[int], None]) -> None:
        Outbox(path, LIMITS).drain(lambda message: note(message.value))

    with Outbox(tmp_path / "full", LIMITS) as outbox:
        for number in range(3):
            outbox.put(number, id=str(number))
    is_killed, step = True, 0
    while is_killed:
        path = tmp_path / str(step)
        shutil.copy(tmp_path / "full", path)
        is_killed, sent = die_at(step, work)
        step += 1
        later = all_of(path)
        assert sorted({*sent, *later}) == [0, 1, 2]
        assert len(sent) + len(later) <= 4
        assert (sent, later) == (sorted(sent), sorted(later))
    assert step > 15


def test_a_failed_attempt_is_repeated_whenever_its_sender_dies(tmp_path: Path) -> None:
    def fail(_: Message) -> None:
        raise OSError("gone")

    def work(_: object) -> None:
        Outbox(path, LIMITS).drain(fail)

    with Outbox(tmp_path / "full", LIMITS) as outbox:
        outbox.put("x")
    is_killed, step = True, 0
    while is_killed:
        path = tmp_path / str(step)
        shutil.copy(tmp_path / "full", path)
        is_killed, _ = die_at(step, work)
        step += 1
        assert all_of(path) == ["x"]
