"""The wall clock of the machine, turned by so little that nobody minds."""

from dataclasses import replace

import pytest
from tests.integration.chaos.conftest import Stage

from resile.core.clock import boot_offset_ns, set_boot_offset
from resile.errors import RejectedError

SLACK_NS = 5_000_000


@pytest.fixture
def outside(stage):
    found = Stage(replace(stage.host, is_outside_allowed=True))
    if why := found.host.faults["clock.step"].obstacle(found.host):
        pytest.skip(why)
    return found


@pytest.mark.parametrize(("direction", "sign"), [("forward", 1), ("back", -1)])
def test_the_clock_is_turned_and_turned_back(outside, direction, sign):
    before_ns = boot_offset_ns()
    record = outside.inject("clock.step", by="20ms", direction=direction)

    outside.active(record)
    assert abs(boot_offset_ns() - before_ns - sign * 20_000_000) < SLACK_NS
    outside.end(record)
    assert abs(boot_offset_ns() - before_ns) < SLACK_NS


def test_a_clock_that_somebody_has_set_right_is_left_alone(outside):
    record = outside.inject("clock.step", by="20ms")
    right_ns = record.facts["before_ns"] + 3_000_000
    set_boot_offset(right_ns)

    outside.end(record)
    assert abs(boot_offset_ns() - right_ns) < 1_000_000
    set_boot_offset(record.facts["before_ns"])


def test_a_clock_of_another_boot_needs_nothing(outside):
    record = outside.inject("clock.step", by="20ms")
    other = replace(record, boot_id="another")

    assert outside.host.faults["clock.step"].verify_gone(other, outside.host).holds
    outside.end(record)


def test_one_service_has_no_clock_of_its_own(outside):
    with pytest.raises(RejectedError, match="one wall clock"):
        outside.inject("clock.step", "service/api")


def test_the_clock_of_all_is_turned_only_when_that_is_allowed(stage):
    with pytest.raises(RejectedError, match="whole machine"):
        stage.inject("clock.step", by="20ms")
