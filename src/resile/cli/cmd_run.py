"""`resile run`: a command that nobody trusts, under a kill switch and as a transaction.

What watches and settles a run is loaded in `command`, after the host began to start its launcher:
the one takes about as long as the other.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resile.cli.contained import (
    exit_code_of,
    open_host,
    outcome_data,
    profile_named,
    summary,
    with_flags,
)
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, say
from resile.contain import CommitMode
from resile.core.units import parse_duration, parse_share, parse_size

if TYPE_CHECKING:
    from resile.contain import Outcome, StopRequest

T = TypeVar("T")

_EPILOG = """\b
Exit codes: the command's own, and
  7    it ended well, but somebody else changed the same files meanwhile
  122  CRITICAL_STOP: a limit ended it (memory, processor, disk, output)
  123  it tried to get out of its sandbox
  124  TIMEOUT
  125  the sandbox could not be built, or its supervisor was lost
  126  the command cannot be executed
  127  there is no such command
  128+N  signal N ended it; 137 also if it was killed from outside"""


def _reader(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make a reader of an option's value from one of core/units."""

    def read_or_refuse(text: str) -> T:
        try:
            return read(text)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc

    return read_or_refuse


def _memory(text: str) -> int | float:
    return parse_share(text) if "%" in text else _size(text)


def _duration(text: str) -> float:
    return 0.0 if text == "0" else parse_duration(text)


def _share(text: str) -> float:
    return 0.0 if text == "0" else parse_share(text)


def _size(text: str) -> int:
    return int(text) if text.isdecimal() else parse_size(text)


_LIMITS: tuple[tuple[str, Any, str], ...] = (
    ("--time", _reader(_duration), "Wall time, such as 10s or 5m."),
    ("--cpu", _reader(_share), 'Share of the processor; "100%" is one core.'),
    ("--cpu-time", _reader(_duration), "Processor time of all its processes together."),
    ("--memory", _reader(_memory), 'Such as 512MiB, or "50%" of what is available.'),
    ("--processes", click.IntRange(min=0), "Processes and threads at once."),
    ("--files", click.IntRange(min=0), "Open files of each process."),
    ("--output", _reader(_size), "What it may print, such as 10MiB."),
    ("--disk", _reader(_size), "What it may write to workspaces and to its /tmp."),
    ("--disk-files", click.IntRange(min=0), "Files and folders that it may make."),
    ("--network", click.Choice(["none", "host"]), "What it may reach."),
    ("--at-quota", click.Choice(["throttle", "kill"]), "What happens at its processor share."),
    ("--grace", _reader(_duration), "Between the request to end and the kill."),
)


_CHOICES = ("--network", "--at-quota", "--grace")


def _limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, kind, meaning in reversed(_LIMITS):
        note = "" if name in _CHOICES else " 0 means no limit."
        metavar = None if name in _CHOICES else "LIMIT"
        function = click.option(name, type=kind, metavar=metavar, help=meaning + note)(function)
    return function


@click.command(
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
@click.option(
    "--profile",
    default="strict",
    show_default=True,
    help="Limits: strict, build, or one of resile.toml.",
)
@_limit_options
@click.option(
    "-w",
    "--workspace",
    "workspaces",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder that it may change; several are allowed. Default: the current folder.",
)
@click.option(
    "--commit",
    type=click.Choice([mode.value for mode in CommitMode]),
    default=CommitMode.AUTO.value,
    show_default=True,
    help="auto: on exit code 0 without a violation. ask: keep for `resile commit`. never: undo.",
)
@click.option("--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Give it a variable.")
@click.option(
    "--read",
    "readable",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Only read here, and in the system's folders.",
)
@click.option(
    "--show",
    "shown",
    multiple=True,
    type=click.Path(path_type=Path),
    help="See this, read-only, although it lies in /tmp or another folder that it has of its own.",
)
@click.option(
    "--hide", "hidden", multiple=True, type=click.Path(path_type=Path), help="See this empty."
)
@config_option
@json_option
def command(
    argv: tuple[str, ...],
    config: Path | None,
    *,
    profile: str,
    workspaces: tuple[Path, ...],
    commit: str,
    env: tuple[str, ...],
    readable: tuple[Path, ...],
    shown: tuple[Path, ...],
    hidden: tuple[Path, ...],
    as_json: bool,
    **flags: Any,
) -> int:
    """Run COMMAND under limits, in a sandbox, as a transaction over folders.

    What it changes is committed whole when it ends well, and undone when it does not. Nothing of
    it survives its end. It reads no terminal; its environment is scrubbed; keys are hidden.
    """
    host = open_host(config)
    with contextlib.closing(host):
        host.prepare_soon()  # Tries the sandbox, while all else is loaded and opened here.
        from resile.cli.pump import Pump
        from resile.contain import Run, RunSpec, StopRequest

        host.journal  # noqa: B018 - opens it
        limits, more = profile_named(profile, config)
        more = dict(more)
        spec = RunSpec(
            argv=argv,
            limits=with_flags(limits, flags),
            profile=profile,
            workspaces=tuple(path.absolute() for path in workspaces or (Path.cwd(),)),
            commit=CommitMode(commit),
            env=dict(map(_variable, env)),
            cwd=Path.cwd(),
            stdin_fd=-1 if sys.stdin is None or sys.stdin.isatty() else sys.stdin.fileno(),
            shown=tuple(map(Path.absolute, shown)),
            readable=(*more.pop("readable", ()), *map(Path.absolute, readable)),
            hidden=(*more.pop("hidden", ()), *map(Path.absolute, hidden)),
            **more,
        )
        with contextlib.closing(StopRequest()) as stop, contextlib.ExitStack() as stack:
            if not as_json:
                pump = stack.enter_context(Pump(stop.ask))
                spec = replace(spec, on_output=pump.put, has_room=pump.has_room)
            with _stopping_on_signals(stop):
                outcome = Run(host, spec, stop=stop).execute()
    _show(outcome, as_json=as_json)
    return exit_code_of(outcome)


def _show(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        print_json(outcome_data(outcome))
        return
    for warning in outcome.warnings:
        say(f"resile: warning: {warning}")
    for line in summary(outcome):
        say(f"resile: {line}")


@contextlib.contextmanager
def _stopping_on_signals(stop: "StopRequest") -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run; a second one ends it without grace."""
    from resile.core.process import signal_name

    def ask(number: int, _frame: object) -> None:
        stop.ask(f"{signal_name(number)} to resile")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _variable(text: str) -> tuple[str, str]:
    """Read NAME=VALUE; a NAME alone takes our own value, so that a secret is not in the command."""
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise click.BadParameter(f"{name} is not set", param_hint="--env")
    return name, os.environ[name]
