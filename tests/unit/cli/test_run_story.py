"""What `resile runs` tells of runs, open and closed, without a daemon."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.held import Held, hold, tell

from resile.cli.run_story import all_runs, meters, one_run, open_runs
from resile.contain import Host
from resile.core.events import RunBegun, RunEnded, RunRolledBack
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConfigError

OPEN, CLOSED, NEWEST = "run_01AAAA", "run_01BBBB", "run_01CCCC"
LIMITS = {"time_s": 10.0, "cpu_share": 0.5, "cpu_time_s": 0.0, "memory": 1 << 20}


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return hold(tmp_path, journal=tmp_path / "journal")


@pytest.fixture
def host(held: Held) -> Iterator[Host]:
    with closing(Host(runs=held.runs, journal=held.journal)) as host:
        yield host


def close(held: Held, run_id: str, **facts: Any) -> None:
    used = {"time_s": 4.0, "cpu_s": 1.0, "memory_max_bytes": 1 << 19, **facts}
    tell(
        held.journal,
        RunBegun(run_id=run_id, command=("x",), commit="auto", supervisor_pid=1, limits=LIMITS),
        RunEnded(run_id=run_id, reason=RunReason.TIMEOUT, code="TIMEOUT", **used),
        RunRolledBack(run_id=run_id, why="ran 10s"),
    )


def test_nothing_is_known_where_nothing_ran(host: Host) -> None:
    assert open_runs(host) == all_runs(host) == []
    for text in ("last", "run_01", ""):
        with pytest.raises(ConfigError) as caught:
            one_run(host, text)
        assert "resile runs --all" in caught.value.hint
    assert not host.journal_folder.exists(), "who only looks makes no journal"


def test_open_ones_are_listed_and_closed_ones_when_asked(held: Held, host: Host) -> None:
    held.put(OPEN, {"new": b"1"})
    close(held, CLOSED)

    assert [run["id"] for run in open_runs(host)] == [OPEN]
    assert [(run["id"], run["state"]) for run in all_runs(host)] == [
        (OPEN, RunState.READY),
        (CLOSED, RunState.DISCARDED),
    ]


@pytest.mark.parametrize("text", [CLOSED, "01bb", "run_01B", "bbb", "last"])
def test_one_is_found_by_a_part_of_its_id(held: Held, host: Host, text: str) -> None:
    held.put(OPEN, {})
    close(held, CLOSED)

    run = one_run(host, text)

    assert (run["id"], run["limits"]) == (CLOSED, LIMITS)
    assert [step["kind"] for step in run["timeline"]] == [
        "run.begun",
        "run.ended",
        "run.rolled_back",
    ]


def test_one_of_several_must_be_named(held: Held, host: Host) -> None:
    held.put(OPEN, {})
    close(held, CLOSED)

    with pytest.raises(ConfigError, match="2 runs begin with 'run_01'"):
        one_run(host, "run_01")


def test_one_that_ended_long_ago_is_found_by_its_whole_id(
    held: Held, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(held, CLOSED)
    close(held, NEWEST)
    monkeypatch.setattr("resile.cli.run_story.RECORDS_MAX", 3)
    assert [run["id"] for run in all_runs(host)] == [NEWEST]

    assert one_run(host, CLOSED)["id"] == CLOSED


def test_usage_of_a_closed_run_is_held_against_its_limits(held: Held, host: Host) -> None:
    close(held, CLOSED)

    found = {meter.label: meter for meter in meters(one_run(host, CLOSED), datetime.now(UTC))}

    assert (found["time"].used, found["time"].most, found["time"].share) == ("4s", "10s", 0.4)
    assert (found["cpu"].used, found["cpu"].share) == ("25%", 0.5), "the mean"
    assert (found["cpu time"].most, found["cpu time"].bar) == ("", ""), "0 is no limit"
    assert found["memory"].bar == "██████████░░░░░░░░░░ 50%"
    assert "processes" not in found, "this machine could not tell"


def test_a_run_without_known_limits_shows_what_it_used(held: Held, host: Host) -> None:
    run = {**_closed(held, host), "limits": None}

    assert {meter.share for meter in meters(run, datetime.now(UTC))} == {None}


def _closed(held: Held, host: Host) -> dict[str, Any]:
    close(held, CLOSED)
    return dict(one_run(host, CLOSED))


def test_a_run_at_work_is_measured_to_this_moment(held: Held, host: Host) -> None:
    record = held.put(OPEN, {}, state=RunState.RUNNING)
    held.runs.note_live(OPEN, {"cpu_share": 0.25, "memory_bytes": 9, "time_s": 1.0})

    found = meters(one_run(host, OPEN), record.began_at + timedelta(seconds=6))

    assert [(meter.label, meter.used) for meter in found[:3]] == [
        ("time", "6s"),
        ("cpu", "25%"),
        ("memory", "9B"),
    ]
