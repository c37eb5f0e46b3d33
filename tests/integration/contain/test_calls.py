"""Calls of plain functions in contained processes, with a real end to those that hang."""

import math
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.integration.contain.conftest import Place
from tests.support import timed_calls

from resile.contain import api
from resile.contain.calls import call_in_process
from resile.contain.model import Outcome
from resile.core.vocabulary import RunReason
from resile.errors import ConfigError, OperationError, TimeoutExceededError

pytestmark = pytest.mark.needs_cgroups


@pytest.fixture(autouse=True)
def own_host(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep runs out of the user's own folder."""
    monkeypatch.setitem(api._HOSTS, os.getpid(), place.host)


def test_a_call_runs_in_another_process_and_gives_its_result(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert timed_calls.double(21) == 42
    assert timed_calls.pid() != os.getpid()
    assert timed_calls.Service().scale(2) == 6
    assert capfd.readouterr().out == ""


def test_an_error_comes_back_with_the_place_where_it_was_raised() -> None:
    with pytest.raises(KeyError, match="gone") as caught:
        timed_calls.fail("gone")

    assert "timed_calls.py" in caught.value.__notes__[0]


def test_a_call_that_hangs_is_killed() -> None:
    with pytest.raises(TimeoutExceededError) as caught:
        timed_calls.hang("x")

    assert caught.value.timeout_s == 0.3


def test_what_cannot_be_sent_back_is_told() -> None:
    with pytest.raises(RuntimeError, match="cannot be sent back"):
        timed_calls.unsendable()


def test_a_process_that_ends_without_an_answer_is_an_error() -> None:
    with pytest.raises(OperationError, match="ended without an answer"):
        timed_calls.die()


def refuse(*_: object, **__: object) -> Outcome:
    raise AssertionError("nothing may be started")


@pytest.mark.parametrize(
    "call",
    [
        partial(lambda: 1),
        partial(Path),
        partial(test_a_call_that_hangs_is_killed.__call__),
    ],
    ids=["lambda", "class", "bound"],
)
def test_a_function_that_is_not_found_by_its_name_is_refused(call: "partial[object]") -> None:
    with pytest.raises(ConfigError, match="not found there by its name"):
        call_in_process(call, 1.0, "pay", contained=refuse)


@pytest.mark.parametrize("function", [math.sqrt, len, [].append], ids=["module", "len", "method"])
def test_a_builtin_is_refused_as_one(function: Callable[..., object]) -> None:
    with pytest.raises(ConfigError, match=r"<built-in .*> is a builtin") as caught:
        call_in_process(partial(function, 2), 1.0, "root", contained=refuse)

    assert "a function of your own" in caught.value.hint


def test_a_function_that_was_replaced_is_refused() -> None:
    def double(value: int) -> int:
        return value

    double.__module__, double.__qualname__ = timed_calls.__name__, "double"

    with pytest.raises(ConfigError, match="not found there by its name"):
        call_in_process(partial(double, 1), 1.0, "pay", contained=refuse)


def test_arguments_that_cannot_be_pickled_are_refused() -> None:
    call = partial(timed_calls.double, threading.Lock())

    with pytest.raises(ConfigError, match="cannot be sent to a process"):
        call_in_process(call, 1.0, "pay", contained=refuse)


def test_an_answer_that_is_cut_is_an_error() -> None:
    def cut(*_: object, **__: object) -> Outcome:
        return Outcome(run_id="r", reason=RunReason.OK, stdout=b"\x80\x04")

    with pytest.raises(OperationError, match="ended without an answer"):
        call_in_process(partial(timed_calls.double, 1), 1.0, "pay", contained=cut)
