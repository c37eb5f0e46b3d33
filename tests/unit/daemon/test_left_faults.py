"""What a new brain does with faults that nobody watches."""

import asyncio
import logging

import pytest

from resile.daemon.left_faults import watch_left_faults
from resile.errors import OperationError


def look(watch):
    said = []
    asyncio.run(watch_left_faults(watch, say=said.append))
    return said


@pytest.mark.parametrize("exc", [OperationError("no watchdog could be started"), OSError("full")])
def test_a_watchdog_that_cannot_be_started_is_logged_and_the_brain_goes_on(exc, caplog):
    def watch():
        raise exc

    with caplog.at_level(logging.WARNING):
        assert look(watch) == []

    assert str(exc) in caplog.text


def test_faults_that_were_left_are_told():
    (line,) = look(lambda: True)

    assert "nobody watched" in line


def test_where_nothing_was_left_nothing_is_said():
    assert look(lambda: False) == []
