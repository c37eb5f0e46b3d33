"""Degraded operation over a real lane: told to the daemon, answered there, journalled on both sides."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from tests.support.laning import Daemon, Stranger, running, wait_until

from resile.clients.degraded import DEGRADATION, NOTICES_MAX, DegradationFeed, obey
from resile.clients.lane import Lane
from resile.core.events import DegradationAnswered
from resile.core.vocabulary import NoticeChoice
from resile.daemon.lanes import DegradationDesk
from resile.degradation import Degradation, Service, ServiceState
from resile.errors import ConfigError, RejectedError
from resile.testing import MemoryJournal

TEXT = "Database connection lost. Using cached security policies."


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "state") as started:
        yield started


@pytest.fixture
def desk(daemon: Daemon) -> DegradationDesk:
    return DegradationDesk(daemon.desk, loop=daemon)


@pytest.fixture
def services(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Degradation, MemoryJournal]]:
    monkeypatch.setattr("resile.degradation.manager._MANAGERS", WeakSet())
    journal = MemoryJournal()
    lane = Lane(daemon.state, program="app.py")
    DegradationFeed(lane).start()
    lane.start()
    with Degradation(
        Service("database", fallbacks=["cached"], notice=TEXT), journal=journal
    ) as made:
        yield made, journal
    lane.close()


def notices(daemon: Daemon, desk: DegradationDesk) -> list[dict[str, Any]]:
    return list(daemon.call(desk.overview)["notices"])


def test_a_notice_is_shown_and_continue_closes_it(
    daemon: Daemon, desk: DegradationDesk, services: tuple[Degradation, MemoryJournal]
) -> None:
    manager, journal = services
    manager.set_state("database", ServiceState.FAILED, "connection lost")

    (notice,) = wait_until("it is shown", lambda: notices(daemon, desk))
    (row,) = daemon.call(desk.overview)["services"]
    assert (notice["text"], notice["program"], notice["state"]) == (TEXT, "app.py", "FAILED")
    assert (row["dependency"], row["reason"]) == ("database", "connection lost")

    daemon.wait(desk.answer(notice["id"], NoticeChoice.CONTINUE, who="ann"))

    assert manager.notices() == ()
    wait_until("it is gone", lambda: not notices(daemon, desk))
    (kept,) = daemon.events(DegradationAnswered.kind)
    assert (kept.body["choice"], kept.actor) == ("continue", "operator:ann")
    from resile.core.journal import Query

    (own,) = [
        record.event
        for record in journal.read(Query())
        if record.event.kind == DegradationAnswered.kind
    ]
    assert (own.body["who"], own.body["notice_id"]) == ("ann", notice["id"])
    with pytest.raises(RejectedError, match="not open"):
        daemon.wait(desk.answer(notice["id"], NoticeChoice.RETRY, who="ann"))


def test_retry_lets_the_next_call_try(
    daemon: Daemon, desk: DegradationDesk, services: tuple[Degradation, MemoryJournal]
) -> None:
    manager, _ = services
    manager.set_state("database", ServiceState.FAILED, "connection lost")
    (notice,) = wait_until("it is shown", lambda: notices(daemon, desk))
    assert manager.call("database", lambda: "live") == "cached"

    daemon.wait(desk.answer(notice["id"], NoticeChoice.RETRY, who=""))

    assert manager.call("database", lambda: "live") == "live"
    assert manager.call("database", lambda: "live") == "live"
    wait_until("it is gone", lambda: not notices(daemon, desk))


def test_what_strangers_say_is_taken_apart_with_care(daemon: Daemon, desk: DegradationDesk) -> None:
    values: list[Any] = [
        None,
        [],
        {"services": 5, "notices": "x"},
        {"services": [None, {"name": "a"}, {"state": "FINE"}], "notices": [5]},
        {
            "services": [{"name": ["x"], "state": "FAILED", "since_s": -1, "fallback": 1}],
            "notices": [{"id": 5, "text": "t" * 1000, "choices": ["panic", "retry"]}] * 60,
        },
    ]
    with contextlib.closing(Stranger(daemon.path).hello()) as stranger:
        for value in values:
            stranger.say({"publish": DEGRADATION, "value": value})

        shown = wait_until("it is shown", lambda: notices(daemon, desk))

        assert len(shown) == NOTICES_MAX
        assert (shown[0]["id"], shown[0]["choices"], len(shown[0]["text"])) == ("", ["retry"], 600)
        (row,) = daemon.call(desk.overview)["services"]
        assert (row["dependency"], row["since_s"], row["is_fallback"]) == ("", 0.0, False)
    wait_until("they are gone", lambda: not notices(daemon, desk))


@pytest.mark.parametrize("order", [None, {}, {"notice": 5, "choice": "retry"}])
def test_an_answer_that_is_none_is_refused(order: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        obey(order)
    with pytest.raises(ConfigError, match="not open"):
        obey({"notice": "ntc_gone", "choice": "retry"})
