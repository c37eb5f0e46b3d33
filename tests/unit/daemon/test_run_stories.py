"""Runs as the journal tells them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resile.core.events import (
    Payload,
    RunAlerted,
    RunBegun,
    RunBreached,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
    announce,
)
from resile.core.journal import Record
from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.daemon.measures import Measures
from resile.daemon.run_stories import CLOSED_MAX, STORIES_MAX, RunStories, open_facts, tell
from resile.incidents import IncidentBook, UptimeBook
from resile.incidents import decide as decide_incidents
from resile.recover import ServiceSpec, SystemSpec, World
from resile.recover import decide as decide_recovery
from resile.web import run_models

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def records(*payloads: Payload) -> list[Record]:
    return [
        Record(
            seq=seq,
            event=announce(payload, at=NOW + timedelta(seconds=seq), actor="run"),
            previous_hash=bytes(32),
            hash=bytes(32),
        )
        for seq, payload in enumerate(payloads, start=1)
    ]


def begun(run_id: str = "run_1", **facts: Any) -> RunBegun:
    return RunBegun(run_id=run_id, command=("a", "b"), commit="ask", supervisor_pid=7, **facts)


def ended(run_id: str = "run_1", **facts: Any) -> RunEnded:
    return RunEnded(
        **{"run_id": run_id, "reason": RunReason.OK, "code": "OK", "changes": 2, **facts}
    )


def violated(run_id: str = "run_1") -> RunViolated:
    return RunViolated(
        run_id=run_id,
        violation=ViolationKind.CONNECT,
        detail="10.0.0.1:80",
        decision="denied",
        source="seccomp",
        seen_at=NOW,
    )


EVERYTHING = (
    begun(workspaces=("/srv",), profile="strict"),
    RunAlerted(run_id="run_1", limit="time", measured="8s", allowed="10s"),
    violated(),
    RunBreached(run_id="run_1", label="EXECUTION_TIMEOUT", reason=RunReason.TIMEOUT, detail="10s"),
    ended(reason=RunReason.TIMEOUT, code="TIMEOUT", detail="ran 10s", signal="SIGTERM", time_s=10),
    RunCommitted(run_id="run_1", changes=1, is_whole=False, who="ann"),
    RunRolledBack(run_id="run_1", why="discarded", who="bob"),
)


def story(*payloads: Payload) -> dict[str, Any]:
    stories = RunStories()
    stories.add(records(*payloads))
    (facts,) = stories.closed(but=())
    return facts


def test_a_story_has_the_shape_of_the_api() -> None:
    facts = {**story(*EVERYTHING), **tell(records(*EVERYTHING))}

    fitted = run_models.RunStory.model_validate(facts)

    assert not fitted.model_extra
    assert fitted.usage.time_s == 10
    assert (fitted.reason, fitted.code, fitted.message) == ("timeout", "TIMEOUT", "ran 10s")
    assert [violation.detail for violation in fitted.tried] == ["10.0.0.1:80"]
    assert [step.seq for step in fitted.timeline] == list(range(1, 8))


@pytest.mark.parametrize(
    ("payloads", "state", "who"),
    [
        ((begun(), ended(), RunCommitted(run_id="run_1", changes=2)), RunState.COMMITTED, ""),
        (
            (begun(), ended(), RunRolledBack(run_id="run_1", why="discarded", who="ann")),
            RunState.DISCARDED,
            "ann",
        ),
        (EVERYTHING, RunState.COMMITTED, "bob"),
    ],
)
def test_what_became_of_the_changes(
    payloads: tuple[Payload, ...], state: RunState, who: str
) -> None:
    facts = story(*payloads)

    assert (facts["state"], facts["settled_by"], facts["is_open"]) == (state, who, False)


def test_a_run_that_could_not_be_run_says_why() -> None:
    facts = story(begun(), RunRolledBack(run_id="run_1", why="no such sandbox"))

    assert (facts["reason"], facts["message"]) == (RunReason.LAUNCH_FAILED, "no such sandbox")


def test_only_the_latest_closed_ones_are_shown_and_the_rest_is_forgotten() -> None:
    stories = RunStories()
    payloads = [part for n in range(400) for part in (begun(f"run_{n:03}"), ended(f"run_{n:03}"))]
    stories.add(records(*payloads))

    shown = [facts["id"] for facts in stories.closed(but={"run_398"})]

    assert shown[:2] == ["run_399", "run_397"]
    assert len(shown) == CLOSED_MAX
    assert stories.get(f"run_{399 - STORIES_MAX:03}") is None
    assert stories.get(f"run_{400 - STORIES_MAX:03}") is not None


def test_what_began_before_anybody_looked_is_left_out() -> None:
    stories = RunStories()
    stories.add(records(ended("run_0"), violated("run_0")))

    assert stories.closed(but=()) == []


RECORD = {
    "id": "run_1",
    "command": ["a"],
    "is_orphan": False,
    "began_at": NOW.isoformat(),
    "reason": None,
    "message": "",
    "changes": 0,
    "limits": {"time_s": 10.0},
}
LIVE = {"time_s": 4.0, "memory_bytes": 9, "cpu_share": 0.5, "disk_files": 3}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_run_at_work_shows_what_it_uses_now(is_told: bool) -> None:
    stories = RunStories()
    stories.add(records(begun(), violated()) if is_told else [])

    facts = open_facts({**RECORD, "state": RunState.RUNNING}, LIVE, stories.get("run_1"))

    fitted = run_models.Run.model_validate(facts)
    assert not fitted.model_extra
    assert fitted.is_open
    assert (fitted.usage.memory_bytes, fitted.violations) == (9, int(is_told))


def test_a_run_that_waits_shows_what_it_used_in_the_end() -> None:
    stories = RunStories()
    stories.add(records(begun(), ended(time_s=5.5, exit_code=0)))

    facts = open_facts({**RECORD, "state": RunState.READY}, LIVE, stories.get("run_1"))

    assert facts["usage"]["time_s"] == 5.5
    assert facts["usage"]["disk_files"] == 3
    assert "memory_bytes" not in facts["usage"]
    assert (facts["exit_code"], facts["state"]) == (0, RunState.READY)


def test_the_brains_own_state_does_not_move_with_runs() -> None:
    spec = SystemSpec(services={"a": ServiceSpec(name="a")})
    world, book, uptime, measures = World(spec), IncidentBook(spec), UptimeBook(), Measures()
    before = (world.snapshot(), book.snapshot(), decide_recovery(world, NOW), uptime.bars("a", NOW))

    for record in records(*EVERYTHING, begun("run_2", workspaces=("service/a",))):
        for projection in (world, book, uptime, measures):
            projection.apply(record.event)  # type: ignore[attr-defined]

    after = (world.snapshot(), book.snapshot(), decide_recovery(world, NOW), uptime.bars("a", NOW))
    assert after == before
    assert decide_incidents(book, NOW).payloads == ()
    assert 'part="run"' in measures.text(world, book, {}, dropped_count=0, now=NOW)


def test_a_closed_run_has_its_limits_and_an_older_one_has_none() -> None:
    limits = {"time_s": 10.0, "memory": 1 << 29, "network": "none"}

    assert story(begun(limits=limits), ended())["limits"] == limits
    (older,) = records(begun())
    body = {key: value for key, value in older.event.body.items() if key != "limits"}
    read = replace(older.event, body=body).payload()
    assert isinstance(read, RunBegun)
    assert story(read, ended())["limits"] is None
