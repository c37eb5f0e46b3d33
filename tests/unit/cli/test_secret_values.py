"""How values come in and go out: nothing is changed on the way, and nothing is shown by accident."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resile.cli.secret_values import (
    random_value,
    read_value,
    refuse_arguments,
    refuse_screen,
    write_value,
)
from resile.errors import ConfigError, RejectedError, SecretError
from resile.secrets import VALUE_BYTES_MAX, Secret

WORD = "sentinel-4711"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pipe(data: bytes) -> None:
        source = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", source)

    return pipe


@pytest.fixture
def screened(monkeypatch: pytest.MonkeyPatch) -> Any:
    def screen() -> Screen:
        made = Screen()
        monkeypatch.setattr(sys, "stdout", made)
        return made

    return screen


def read(source: str | None = None, *, is_exact: bool = False) -> bytes:
    return read_value("a", source, is_exact=is_exact)


def test_argument_is_refused_with_the_reason_and_without_repeating_it() -> None:
    with pytest.raises(ConfigError, match="never taken from the command line") as caught:
        refuse_arguments("a")

    assert "--from-file" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"\0" * (VALUE_BYTES_MAX + 1)], ids=["empty", "large"])
def test_value_that_nobody_could_keep_is_refused(piped: Any, data: bytes) -> None:
    piped(data)

    with pytest.raises(ConfigError) as caught:
        read()

    assert caught.value.hint


def test_closed_standard_input_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(ConfigError, match="is empty"):
        read()


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"word\n", b"word"),
        (b"word", b"word"),
        (b"word\n\n", b"word\n\n"),
        (b"one\ntwo\n", b"one\ntwo\n"),
        (b"\xff\xfe\n", b"\xff\xfe\n"),
        (b"\0\x01\n", b"\0\x01\n"),
        (b"\n", b"\n"),
        ("ä\n".encode(), "ä".encode()),
    ],
)
def test_only_the_newline_of_a_single_line_of_text_is_left_off(
    piped: Any, given: bytes, kept: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(given)

    assert read("-") == kept
    assert ("left off" in capsys.readouterr().err) == (given != kept)


def test_exact_keeps_every_byte(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"word\n")

    assert read(str(tmp_path / "file"), is_exact=True) == b"word\n"
    assert read(str(tmp_path / "file")) == b"word"


def test_largest_value_is_read_whole(piped: Any) -> None:
    piped(b"x" * VALUE_BYTES_MAX)

    assert len(read()) == VALUE_BYTES_MAX


def test_random_values_have_their_length_and_differ() -> None:
    made = {random_value(20) for _ in range(50)}

    assert len(made) == 50
    assert {len(one) for one in made} == {20}


def test_terminal_is_refused_unless_it_is_wanted(screened: Any) -> None:
    screened()

    with pytest.raises(RejectedError) as caught:
        refuse_screen("a", is_shown=False)

    assert "--show" in caught.value.hint
    refuse_screen("a", is_shown=True)


def test_terminal_gets_a_line_of_text(screened: Any) -> None:
    screen = screened()

    write_value(Secret("a", "1", WORD.encode()), None)

    assert screen.getvalue() == f"{WORD}\n"


@pytest.mark.parametrize("value", [b"\xff\0", b"\x1b[2J", b"a\x07"], ids=repr)
def test_terminal_gets_nothing_that_would_upset_it(screened: Any, value: bytes) -> None:
    screen = screened()

    with pytest.raises(SecretError, match="is not text"):
        write_value(Secret("a", "1", value), None)

    assert screen.getvalue() == ""


def test_pipe_gets_the_bytes_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_value(Secret("a", "1", b"\xff\0\n"), None)

    assert capfdbinary.readouterr().out == b"\xff\0\n"


def test_field_is_written_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_value(Secret("a", "1", b'{"username": "u", "password": "p"}'), "password")

    assert capfdbinary.readouterr().out == b"p"
