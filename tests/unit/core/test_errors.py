"""Errors are values: they go to other processes whole."""

import pickle

import pytest

from resile.errors import (
    BreakerOpenError,
    ConfigError,
    ConflictError,
    OperationError,
    OutboxFullError,
    RateLimitedError,
    ResileError,
    RetriesExhausted,
    ServiceDownError,
    TimeoutExceededError,
)

ERRORS = [
    ConfigError("wrong", hint="mend it", problems=("a", "b")),
    OperationError("failed", hint="wait", is_transient=True),
    BreakerOpenError("bank", 3.0, "INC-1"),
    OutboxFullError("full", hint="drain it"),
    RateLimitedError("too many", retry_after_s=2.5, hint="wait"),
    TimeoutExceededError("late", timeout_s=2.0),
    RetriesExhausted("all failed", attempts=(1, 2)),
    ServiceDownError("away", service="bank"),
    ConflictError("two", paths=(("a", "changed"),)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_goes_to_another_process_and_back(error: ResileError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert (str(again), again.hint, vars(again)) == (str(error), error.hint, vars(error))


def test_a_note_goes_along() -> None:
    error = TimeoutExceededError("late", timeout_s=2.0)
    error.add_note("in the third attempt")

    again = pickle.loads(pickle.dumps(error))

    assert again.__notes__ == ["in the third attempt"]
    assert isinstance(again, TimeoutError)
