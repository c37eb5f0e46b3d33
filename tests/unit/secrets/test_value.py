"""A secret shows itself to nobody by accident: not in text, copies, errors or the frames of errors."""

import copy
import json
import logging
import pickle
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from resile.errors import SecretError
from resile.secrets import HIDDEN, Secret

SENTINEL = "s3nt1nel-value-of-a-secret"


def secret(value: str | bytes = SENTINEL) -> Secret:
    return Secret("db/password", "7", value if isinstance(value, bytes) else value.encode())


def frames_of(error: BaseException) -> str:
    """Write an error as a debugger or a crash reporter does, with all local variables and causes."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    hidden = [error.__context__, error.__cause__]
    return "".join(found.format()) + "".join(repr(one) for one in hidden)


def test_value_that_is_not_text_is_not_in_the_error() -> None:
    one = secret(SENTINEL.encode() + b"\xff\xfe")

    with pytest.raises(SecretError, match="is not text") as caught:
        one.reveal()

    assert SENTINEL not in frames_of(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("shape", ["{}", '["{}"]', '"{}"', "[" * 100_000])
def test_value_without_fields_is_not_in_the_error(shape: str) -> None:
    with pytest.raises(SecretError, match="no JSON object") as caught:
        secret(shape.format(SENTINEL)).field("password")

    assert SENTINEL not in frames_of(caught.value)


def test_field_that_is_not_there_names_the_others_and_shows_no_value() -> None:
    one = secret(json.dumps({"username": "app", "password": SENTINEL}))

    with pytest.raises(SecretError, match="no field 'pasword'") as caught:
        one.field("pasword")

    assert caught.value.hint == "it has password, username"
    assert SENTINEL not in frames_of(caught.value)


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        "%s".__mod__,
        lambda one: f"{one}",
        lambda one: repr([one]),
        lambda one: repr({"secret": one}),
        lambda one: json.dumps({"secret": one}, default=str),
        lambda one: repr(hash(one)),
    ],
)
def test_no_way_to_write_it_shows_the_value(shown: Any) -> None:
    text = shown(secret())

    assert SENTINEL not in text


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_is_neither_copied_nor_written(copied: Any) -> None:
    with pytest.raises(TypeError) as caught:
        copied(secret())

    assert SENTINEL not in frames_of(caught.value)


def test_it_is_not_in_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("app").warning("it is %s, %r", secret(), [secret()], extra={"s": secret()})

    assert SENTINEL not in caplog.text
    assert HIDDEN in caplog.text


def test_it_is_not_in_a_traceback_with_local_variables() -> None:
    def work(one: Secret) -> None:
        held = {"inner": one}
        raise RuntimeError(f"failed with {held}")

    with pytest.raises(RuntimeError) as caught:
        work(secret())

    assert SENTINEL not in frames_of(caught.value)


def test_it_gives_its_value_when_asked_for() -> None:
    one = secret(json.dumps({"username": "app", "port": 5432}))

    assert secret().reveal() == SENTINEL
    assert secret().reveal_bytes() == SENTINEL.encode()
    assert one.fields() == {"username": "app", "port": "5432"}
    assert one.field("port") == "5432"


def test_equal_values_are_equal_whatever_they_are_called() -> None:
    other = Secret("x", "1", SENTINEL.encode(), created_at=datetime(2030, 1, 1, tzinfo=UTC))

    assert secret() == other
    assert secret() != secret("another")
    assert secret() != SENTINEL
    assert bool(secret())
    assert not secret(b"")


def test_value_is_overwritten_when_nobody_holds_it_any_more() -> None:
    one = secret()
    memory = one._value

    del one

    assert memory == bytes(len(SENTINEL))


def test_secret_that_could_not_be_made_leaves_no_noise() -> None:
    with pytest.raises(TypeError):
        Secret("db", "1", None)  # type: ignore[arg-type]
