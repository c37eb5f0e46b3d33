"""No log line shows what a process has read: messages, arguments, tracebacks, fields, in any usual form."""

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.secrets import HIDDEN, Secret
from resile.secrets.forms import forms_of, pattern_of
from resile.secrets.redaction import VALUES_MAX, Redactor, redact_with

VALUE = "s3nt1nel/va+lue of 'a' \"secret\"\\ é"


def secret(value: str | bytes = VALUE, version: str = "1") -> Secret:
    return Secret("db", version, value if isinstance(value, bytes) else value.encode())


def fail(text: str) -> None:
    raise ConnectionError(text)


def knowing(*secrets: Secret) -> Redactor:
    redactor = Redactor()
    for one in secrets:
        redactor.know(one)
    return redactor


class Logs:
    """A logger with one handler whose text can be read."""

    def __init__(self, redactor: Redactor) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(message)s %(app)s", defaults={"app": ""}))
        self.logger = logging.Logger("test")  # noqa: LOG001 - it is nobody else's
        self.logger.addHandler(self.handler)
        self.end = redact_with(redactor, self.logger)

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture
def logs() -> Iterator[Logs]:
    made = Logs(knowing(secret()))
    yield made
    made.handler.close()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "repr of bytes": lambda value: repr(value.encode()),
    "json": json.dumps,
    "url": lambda value: quote(value, safe=""),
    "url path": quote,
    "form": quote_plus,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "basic authentication": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "basic authentication, longer": lambda value: base64.b64encode(
        f"someuser:{value}:x".encode()
    ).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_usual_form_of_a_value_is_logged(logs: Logs, form: Callable[[str], str]) -> None:
    shown = form(VALUE)

    logs.logger.warning("before %s after", shown)

    assert HIDDEN in logs.text
    assert VALUE not in logs.text
    middle = len(shown) // 2
    assert shown[middle - 6 : middle + 6] not in logs.text


@given(
    value=st.binary(min_size=12, max_size=60),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_base64_is_found_wherever_a_value_stands_in_a_longer_one(
    value: bytes, before: bytes, after: bytes
) -> None:
    redactor = knowing(secret(value))

    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert HIDDEN in redactor.blot(encode(before + value + after).decode())


def test_traceback_of_an_error_that_shows_a_value_is_redacted(logs: Logs) -> None:
    try:
        fail(f"cannot log in with {VALUE}")
    except ConnectionError:
        logs.logger.exception("it failed")

    assert "ConnectionError: cannot log in with ********" in logs.text
    assert VALUE not in logs.text


def test_traceback_that_shows_nothing_stays_for_other_handlers(logs: Logs) -> None:
    seen: list[logging.LogRecord] = []
    logs.handler.addFilter(lambda record: seen.append(record) or True)
    try:
        fail("plain")
    except ConnectionError:
        logs.logger.exception("it failed")

    assert seen[0].exc_info is not None
    assert "ConnectionError: plain" in logs.text


def test_traceback_and_stack_that_were_written_before_are_redacted(logs: Logs) -> None:
    record = logs.logger.makeRecord("n", logging.INFO, "f", 1, "m", None, None, sinfo=f"at {VALUE}")
    record.exc_text = f"error {VALUE}"

    logs.logger.handle(record)

    assert VALUE not in logs.text
    assert logs.text.count(HIDDEN) == 2


def test_fields_of_a_record_are_redacted(logs: Logs) -> None:
    for value in (VALUE, {"dsn": f"password={VALUE}"}, [VALUE]):
        logs.logger.info("m", extra={"app": value})
        logs.logger.warning("m", extra={"app": value})

    assert VALUE not in logs.text
    assert repr(VALUE)[1:-1] not in logs.text
    assert logs.text.count(HIDDEN) == 6


def test_fields_that_show_nothing_stay_what_they_are(logs: Logs) -> None:
    seen: list[logging.LogRecord] = []
    logs.handler.addFilter(lambda record: seen.append(record) or True)
    message = {"structured": True}

    logs.logger.warning(message, extra={"app": {"a": 1}})
    logs.logger.warning("%d of %d", 1, 2, extra={"app": 5})

    assert seen[0].msg is message
    assert seen[0].__dict__["app"] == {"a": 1}
    assert seen[1].args == (1, 2)


def test_arguments_that_do_not_fit_are_not_shown(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logging complains of them on the standard error, with all of them."""
    logs.logger.warning("%d", VALUE)

    assert VALUE not in logs.text + capsys.readouterr().err


def test_end_of_it_leaves_the_handler_as_it_was(logs: Logs) -> None:
    logs.end()

    assert logs.handler.filters == []


def test_credential_hides_its_password_and_not_its_user() -> None:
    value = json.dumps(
        {"username": "application", "host": "db.example", "password": "hunter2hunter2"}
    )
    redactor = knowing(secret(value))

    text = redactor.blot("application at db.example with hunter2hunter2")

    assert text == "application at db.example with ********"
    assert redactor.blot(value) == HIDDEN


def test_lines_of_a_private_key_are_hidden_each_and_what_frames_them_is_not() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
    key = f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n"
    redactor = knowing(secret(key))

    assert redactor.blot(f"x {line} y") == "x ******** y"
    assert redactor.blot("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"
    assert redactor.blot(f"it is {key}!") == "it is ********!"


def test_longer_value_is_hidden_before_a_shorter_one_that_it_begins_with() -> None:
    redactor = knowing(secret("hunter2hunter2"), secret("hunter2hunter2-and-more", "2"))

    assert redactor.blot("hunter2hunter2-and-more hunter2hunter2") == "******** ********"


@pytest.mark.parametrize("value", [b"", b"short", b"1234567"])
def test_what_is_short_is_not_looked_for(value: bytes) -> None:
    one = Secret("db", "1", value)

    assert forms_of(one) == set()
    assert pattern_of(forms_of(one)) is None
    assert knowing(one).blot("short 1234567") == "short 1234567"


def test_value_that_is_not_text_is_hidden_too() -> None:
    value = b"\xff\xfe\x00binary value"

    assert HIDDEN in knowing(secret(value)).blot(repr(value))


def test_same_value_is_known_once_and_old_ones_are_forgotten() -> None:
    redactor = Redactor()
    for number in range(VALUES_MAX + 5):
        redactor.know(secret(f"value number {number:04}"))
        redactor.know(secret(f"value number {number:04}", "again"))

    assert len(redactor._known) == VALUES_MAX
    assert redactor.blot("value number 0000") == "value number 0000"
    assert redactor.blot("value number 0104") == HIDDEN


def test_it_shows_no_value_itself() -> None:
    redactor = knowing(secret())
    redactor.blot("compile")

    shown = repr(redactor) + str(redactor) + repr(redactor._replace)

    assert "s3nt1nel" not in shown


def test_it_holds_no_secret_that_would_count_as_used() -> None:
    one = secret()
    memory = one._value
    redactor = knowing(one)

    del one

    assert memory == bytes(len(VALUE.encode()))
    assert redactor.blot(VALUE) == HIDDEN


def test_child_of_a_fork_has_a_lock_of_its_own() -> None:
    redactor = knowing(secret())
    redactor._lock.acquire()

    redactor.renew()

    assert redactor.blot(VALUE) == HIDDEN
