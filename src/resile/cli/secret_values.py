"""Values of secrets on their way in and out of the command: never as an argument, nor to a screen by accident."""

import base64
import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn

import click

from resile.cli.output import say
from resile.errors import ConfigError, RejectedError, SecretError
from resile.secrets import VALUE_BYTES_MAX, Secret
from resile.secrets.rotators.random_value import ALPHABET

STDIN = "-"
LENGTH_MIN, LENGTH_DEFAULT, LENGTH_MAX = 16, 43, 4096
"""Characters of 6 bits each; 43 are 256 bits."""


def refuse_arguments(name: str) -> NoReturn:
    """Refuse a value among the arguments. What was typed is in no message.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        f"`put {name}` takes no more arguments: a value is never taken from the command line, where every "
        "process of this machine can see it, and where the shell's history keeps it",
        hint=f"pipe it: ... | resile secrets put {name}, or give --from-file FILE. "
        "If that was a value, it stands in the history now: take another one",
    )


def read_value(name: str, source: str | None, *, is_exact: bool) -> bytes:
    """Read a value: from a file, a pipe, or whoever types it, twice and without echo.

    Args:
        name: Whose.
        source: A file; `-` or None is the standard input.
        is_exact: Keep a newline at the end. Otherwise that of a single line of text is left off, which an
            editor or `echo` put there; what is binary or has several lines stays as it is.

    Raises:
        ConfigError: If it cannot be read, is empty, or is too large.
    """
    is_piped = source in (None, STDIN)
    if is_piped and sys.stdin is not None and sys.stdin.isatty():
        return os.fsencode(_typed(name))
    data = _piped() if is_piped else _content(Path(str(source)))
    where = "the standard input" if is_piped else str(source)
    if len(data) > VALUE_BYTES_MAX:
        raise ConfigError(
            f"{where} has more than {VALUE_BYTES_MAX} bytes",
            hint="keep a key here, and what it opens elsewhere",
        )
    if not is_exact and _is_line(data):
        say("the newline at its end is left off; --exact keeps it")
        data = data[:-1]
    if not data:
        raise ConfigError(
            f"{where} is empty, and an empty value is none",
            hint=f"pipe a value: ... | resile secrets put {name}; or make one: --generate",
        )
    return data


def random_value(length: int) -> bytes:
    """Make a random text of letters, digits, `-` and `_`."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length)).encode()


def refuse_screen(name: str, *, is_shown: bool) -> None:
    """Refuse to write a value on a terminal, unless that is wanted; before anything is read.

    Raises:
        RejectedError: If standard output is a terminal.
    """
    if sys.stdout.isatty() and not is_shown:
        raise RejectedError(
            f"the value of {name!r} is not written to a terminal, where others may see it",
            hint=f"pipe it: resile secrets get {name} | ..., or say --show",
        )


def write_value(secret: Secret, field: str | None) -> None:
    """Write a value, and nothing else: in a pipe its bytes as they are, on a terminal a line of text.

    Raises:
        SecretError: If it has no such field, or is not text and this is a terminal.
    """
    data = secret.reveal_bytes() if field is None else field_of(secret, field).encode()
    if sys.stdout.isatty():
        text = data.decode(errors="replace")
        if not text.replace("\n", "").replace("\t", "").isprintable() or "\ufffd" in text:
            raise SecretError(
                f"secret {secret.name!r} is not text, and would upset this terminal",
                hint=f"send it elsewhere: resile secrets get {secret.name} > FILE",
            )
        print(text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def shown_data(secret: Secret, field: str | None) -> dict[str, str]:
    """Write a value for `--json`: as text, or in base64 if it is none.

    Raises:
        SecretError: If it has no such field.
    """
    if field is not None:
        return {"value": field_of(secret, field)}
    data = secret.reveal_bytes()
    try:
        return {"value": data.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(data).decode()}


def field_of(secret: Secret, field: str) -> str:
    """Give one field of a value that is a JSON object.

    Raises:
        SecretError: If it is none, or has no such field.
    """
    try:
        secret.fields()
    except SecretError as exc:
        raise SecretError(
            exc.message, hint=f"take it whole: resile secrets get {secret.name}"
        ) from None
    return secret.field(field)


def _typed(name: str) -> str:
    text: str = click.prompt(
        f"value of {name}", hide_input=True, confirmation_prompt="the same again", err=True
    )
    return text


def _piped() -> bytes:
    return b"" if sys.stdin is None else sys.stdin.buffer.read(VALUE_BYTES_MAX + 2)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(VALUE_BYTES_MAX + 2)
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read: {exc.strerror}", hint="name a file, or pipe the value"
        ) from exc


def _is_line(data: bytes) -> bool:
    """Tell whether it is one line of text that ends with a newline."""
    if data.count(b"\n") != 1 or not data.endswith(b"\n") or len(data) == 1:
        return False
    try:
        return data.decode().rstrip("\n").isprintable()
    except UnicodeDecodeError:
        return False
