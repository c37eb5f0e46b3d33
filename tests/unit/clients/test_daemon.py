"""Which daemon a process talks to, and what it says of its guards."""

from pathlib import Path
from typing import Any

import pytest

from resile.clients import daemon, wire
from resile.clients.daemon import connect, obey
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import ConfigError
from resile.policies.readings import Reading

READING = Reading(
    name="a",
    state="closed",
    mode="automatic",
    reason="",
    left_s=None,
    calls=0,
    failures=0,
    rejected=0,
    retries=0,
    success_rate=None,
    last_failure="",
    last_failed_at_s=None,
    opened=0,
    policy="Breaker()",
)


def test_without_a_system_the_folder_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STATE_VARIABLE, raising=False)

    with pytest.raises(ConfigError, match="no state folder is named"):
        connect()


def test_a_process_has_one_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_lane", None)
    lane = connect(tmp_path)
    try:
        assert connect(tmp_path) is lane
        assert lane.state == tmp_path
        with pytest.raises(ConfigError, match="already"):
            connect(tmp_path / "other")
    finally:
        lane.close()


def test_of_too_many_guards_those_that_are_not_well_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [READING._replace(name=f"g{n}", calls=n) for n in range(wire.GUARDS_MAX + 2)]
    many[0] = many[0]._replace(state="open", left_s=3.21)
    many[1] = many[1]._replace(mode="disabled")
    many[2] = many[2]._replace(last_failed_at_s=1.0)

    chosen = daemon._chosen(many)

    assert len(chosen) == wire.GUARDS_MAX
    assert {reading.name for reading in many} - {reading.name for reading in chosen} == {"g3", "g4"}
    facts = daemon._facts(chosen[0]._replace(left_s=float("inf"), reason="x" * 1000), set())
    assert (facts["left_s"], len(facts["reason"]), facts["shared"]) == (None, 300, "")


@pytest.mark.parametrize(
    "order",
    [
        None,
        [],
        {},
        {"guard": "a", "order": "trip"},
        {"guard": 1, "order": "trip", "why": ""},
        {"guard": "a guard that is not there", "order": "trip", "why": "", "for_s": "x"},
        {"guard": "a guard that is not there", "order": "odd", "why": ""},
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_words(order: Any) -> None:
    with pytest.raises(ConfigError):
        obey(order)
