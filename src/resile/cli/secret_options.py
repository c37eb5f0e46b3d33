"""What the subcommands of `resile secrets` have in common: names that complete, and being sure."""

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any

import click

from resile.cli.output import say
from resile.cli.secret_desk import opened
from resile.errors import RejectedError, ResileError

WHY_LENGTH_MAX = 200
"""As the keeper takes it."""
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def names_that_begin(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Give the names for a shell that completes; none if nobody can tell them. Values are not read."""
    with (
        contextlib.suppress(ResileError),
        contextlib.redirect_stderr(io.StringIO()),
        opened(None) as desk,
    ):
        return [name for name in desk.names() if name.startswith(begun)]
    return []


def name_argument(*, required: bool = True) -> Decorator:
    """Take the name of a secret."""
    return click.argument("name", required=required, shell_complete=names_that_begin)


def why_option(*, required: bool = False) -> Decorator:
    """Take --why."""
    return click.option(
        "--why",
        required=required,
        callback=_within_length,
        metavar="TEXT",
        help="The reason, in words: it is journalled.",
    )


yes_option: Decorator = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def be_sure(question: str, *, is_sure: bool) -> None:
    """Ask before something is done that is not undone as easily.

    Raises:
        RejectedError: If the answer is no, or there is nobody to ask.
    """
    if is_sure:
        return
    if not sys.stdin or not sys.stdin.isatty():
        raise RejectedError(f"{question} Nobody can be asked here", hint="say --yes, if so")
    if not click.confirm(question, err=True):
        raise RejectedError("nothing was done", hint="--yes does it without asking")


def say_done(text: str, *, as_json: bool) -> None:
    """Say what was done, unless JSON tells it."""
    if not as_json:
        say(text)


def _within_length(_: click.Context, __: click.Parameter, text: str | None) -> str:
    text = text or ""  # With a default of its own click would never miss it.
    if len(text) > WHY_LENGTH_MAX:
        raise click.BadParameter(f"{len(text)} characters; write {WHY_LENGTH_MAX} at most")
    return text
