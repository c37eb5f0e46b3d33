"""What `resile secrets` tells people, from plain data."""

from datetime import UTC, datetime, timedelta
from typing import Any

from resile.cli.secret_tables import (
    access_row,
    ended_hint,
    history_row,
    list_row,
    plan_lines,
    report_lines,
    rotation_row,
    standing_lines,
    version_data,
)
from resile.core.events import SecretAccessed
from resile.core.vocabulary import AccessOutcome, SecretStage
from resile.secrets import Version

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def secret(**facts: Any) -> dict[str, Any]:
    return {
        "name": "db/password",
        "version": "7",
        "age_s": 3600.0,
        "next_rotation_at": (NOW + timedelta(days=2, hours=3)).isoformat(),
        "rotator": "postgres",
        "services": ["api", "worker"],
        "deliver": "api",
        "is_canary": False,
        "is_made_when_read": False,
        "can_roll_back": True,
        "holders": [],
        "rotation": None,
        **facts,
    }


def report(**facts: Any) -> dict[str, Any]:
    return {
        "name": "db/password",
        "outcome": "rotated",
        "number": "8",
        "duration_s": 1.25,
        "cut": [],
        "waits_for": [],
        "why": "",
        "plan": [],
        "warnings": [],
        **facts,
    }


def overview(**facts: Any) -> dict[str, Any]:
    provider = {"kind": "vault", "is_well": True, "reason": ""}
    return {"provider": provider, "secrets": [], "quarantined": [], **facts}


def test_row_tells_version_age_and_who_gets_it() -> None:
    row = list_row(secret(), NOW)

    assert row == ("db/password", "7", "1h", "in 2d3h", "postgres", "api, worker", "-")


def test_row_of_a_secret_without_a_value_says_so() -> None:
    row = list_row(
        secret(version="", age_s=None, next_rotation_at=None, rotator="", services=[]), NOW
    )

    assert row == ("db/password", "none yet", "-", "-", "-", "-", "-")
    assert list_row(secret(version=""), NOW, is_well=False)[1] == "unknown"


def test_row_of_a_credential_of_each_reader_is_neither_missing_nor_behind() -> None:
    holder = {"label": "a", "version": "x7", "is_live": True}
    row = list_row(secret(version="", is_made_when_read=True, holders=[holder]), NOW)

    assert (row[1], row[6]) == ("made when read", "1 process")


def test_row_tells_of_a_rotation_that_is_late() -> None:
    late = secret(next_rotation_at=(NOW - timedelta(minutes=5)).isoformat())

    assert list_row(late, NOW)[3] == "due 5m ago"


def test_row_tells_how_it_is_delivered_and_that_it_is_a_canary() -> None:
    row = list_row(secret(deliver="file", is_canary=True), NOW)

    assert row[0] == "db/password (canary)"
    assert row[5] == "api, worker (file)"


def test_row_counts_processes_and_those_that_are_behind() -> None:
    one = {"label": "a", "version": "7", "is_live": True}
    behind, unknown = {**one, "version": "6"}, {**one, "version": ""}

    assert list_row(secret(holders=[one]), NOW)[6] == "1 process"
    assert list_row(secret(holders=[one, behind, unknown]), NOW)[6] == "3 processes, 1 behind"


def test_nothing_is_told_of_what_is_at_rest() -> None:
    assert list(standing_lines(overview(secrets=[secret()]))) == []


def test_what_is_not_at_rest_is_told_with_what_to_type() -> None:
    rotation = {"reason": "manual", "step": "promoted", "waits_for": ["api (pid 4)"], "why": ""}
    lines = list(
        standing_lines(
            overview(
                provider={"kind": "vault", "is_well": False, "reason": "it is sealed"},
                secrets=[secret(rotation=rotation)],
                quarantined=[{"client": "service/api", "why": "a canary was read", "at": ""}],
            )
        )
    )

    assert lines == [
        "the provider vault does not answer: it is sealed",
        "db/password: a rotation (manual) is promoted; it waits for api (pid 4)",
        "service/api gets no secrets: a canary was read; resile secrets release service/api",
    ]


def test_clients_that_are_cut_off_and_not_listed_are_counted() -> None:
    (line,) = standing_lines(overview(quarantined_more=7))

    assert line.startswith("7 more clients get no secrets: resile events")


def test_history_tells_when_a_version_was_written_if_that_is_known() -> None:
    known = Version(number="2", stage=SecretStage.CURRENT, created_at=NOW - timedelta(hours=2))
    unknown = Version(number="1", stage=SecretStage.RETIRED)

    assert history_row(known, NOW)[:2] == ("2", "current")
    assert history_row(known, NOW)[3] == "2h"
    assert history_row(unknown, NOW) == ("1", "retired", "-", "-")
    assert version_data("a", unknown)["created_at"] is None


def test_rotation_that_is_over_is_told_in_a_row() -> None:
    row = rotation_row(
        {
            "ended_at": NOW.isoformat(),
            "name": "a",
            "outcome": "aborted",
            "reason": "scheduled",
            "duration_s": 2.0,
            "cut": ["x (pid 1)", "y (pid 2)"],
        }
    )

    assert row[1:] == ("a", "aborted", "scheduled", "2s", "x (pid 1), y (pid 2)")


def test_access_that_gave_nothing_has_no_version() -> None:
    access = SecretAccessed(
        name="a",
        number="",
        client="user/0/curl",
        pid=5,
        uid=0,
        outcome=AccessOutcome.DENIED,
        count=3,
    )

    assert access_row(NOW, access)[1:] == ("a", "-", "user/0/curl", "5", "denied", "3")


def test_report_of_a_rotation_names_the_version_and_who_was_cut_off() -> None:
    lines = list(report_lines(report(cut=["api (pid 4)"])))

    assert lines == [
        "db/password: version 8 is current; rotated in 1.2s",
        "cut off, as it had not taken the new one in time: api (pid 4)",
    ]


def test_report_of_an_aborted_rotation_tells_why() -> None:
    (line,) = report_lines(report(outcome="aborted", why="the target is down"))

    assert line == "db/password: aborted after 1.2s: the target is down"
    assert "resile secrets rotate db/password" in ended_hint(report(outcome="aborted"))
    assert ended_hint(report()) == ended_hint(report(outcome=None)) == ""


def test_report_of_a_rotation_that_goes_on_tells_what_it_waits_for() -> None:
    (line,) = report_lines(report(outcome=None, waits_for=["api (pid 4)"], why="not heard"))

    assert line == (
        "db/password: the rotation is under way, for 1.2s; it waits for api (pid 4): not heard"
    )


def test_plan_is_numbered_and_what_may_go_wrong_follows() -> None:
    lines = list(plan_lines(report(plan=["prepared: x", "set: y"], warnings=["no overlap"])))

    assert lines == ["1. prepared: x", "2. set: y", "warning: no overlap"]
