"""The table of subcommands. A subcommand's module is imported only when that one is invoked."""

import importlib
from collections.abc import Sequence
from typing import Any

import click

from resile import __version__
from resile.errors import ConfigError

COMMANDS = {
    "beat": "Send a heartbeat to a check that waits for it.",
    "cat": "Write a file of a snapshot to standard output.",
    "changes": "List what was committed in a folder.",
    "chaos": "Break things on purpose, and take it back.",
    "commit": "Commit the changes of a contained run.",
    "config": "Check, show and describe resile.toml.",
    "dashboard": "Print a link that lets the dashboard decide about runs.",
    "diff": "Show what a contained run would change, or compare two snapshots.",
    "disable": "Switch a part off for a while, or a playbook.",
    "discard": "Throw away the changes of a contained run.",
    "doctor": "Tell what this machine allows, and how to allow more.",
    "drill": "Break what is declared, and measure how it mends itself.",
    "down": "Stop everything in order, the daemon last.",
    "emergency-stop": "Freeze remedies, kill contained runs, end faults on purpose.",
    "enable": "Switch on again what was switched off.",
    "events": "Show what happened, from the journal.",
    "forget": "Let snapshots go, by rules or by name.",
    "gc": "Free what no snapshot needs.",
    "incidents": "Show incidents, or take one on.",
    "init": "Write a commented resile.toml for this folder.",
    "journal": "Verify the journal's chain, or export its head.",
    "kill": "Kill contained runs, or all of them at once.",
    "logs": "Show a service's output.",
    "ls": "List what is in a snapshot.",
    "maintenance": "Say that you work on a service or a check.",
    "playbooks": "Show, rehearse and use playbooks, or approve a plan.",
    "policies": "Show the guards of every process, or steer a breaker.",
    "recover": "Finish or undo what a crash left of contained runs.",
    "recovery": "Show what is done about open faults, and when it is over.",
    "repair": "Mend a damaged store.",
    "replicate": "Keep a second store in step.",
    "restart": "Stop services and start them again.",
    "restore": "Bring a snapshot back, beside or in place.",
    "resume": "Let contained runs begin again after `kill --all --hold`.",
    "run": "Run a command that nobody trusts: limits, sandbox, undo.",
    "runs": "List contained runs, or show one.",
    "secrets": "Read, change, rotate and watch secrets.",
    "snapshot": "Keep a folder as it is now.",
    "snapshots": "List the snapshots.",
    "start": "Start services, also out of quarantine.",
    "status": "Show every service and check.",
    "stop": "Stop services and keep them stopped.",
    "switches": "Show what is switched off.",
    "up": "Start everything that resile.toml declares.",
    "verify": "Find whatever is wrong with a store.",
}
"""Each subcommand with its one-line help, so that the list needs no import."""

_EPILOG = """\b
Exit codes:
  0  done
  1  it failed while being done
  2  wrong input: arguments, resile.toml, a missing program or a port in use
  3  refused: it runs already, or the file is there already
  4  the journal could not be read or written
  5  the journal's chain is broken
  6  no daemon answers for this folder
  7  somebody else changed what a run, or a write of a secret, changes
  8  something in a store, or a secret, is damaged or missing
  9  the provider of secrets is away, sealed or too busy

RESILE_DEBUG=1 shows tracebacks. Every subcommand takes --json."""


class LazyGroup(click.Group):
    """Finds a subcommand in the module `resile.cli.cmd_NAME`."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """List the names in the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import the one that is asked for."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"resile.cli.cmd_{name.replace('-', '_')}"
        ).command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or say which one was perhaps meant.

        Raises:
            ConfigError: If there is no such subcommand.
        """
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(context, args)
        import difflib  # Only who mistypes needs it.

        near = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
        hint = f"did you mean `resile {near[0]}`?" if near else "`resile --help` lists them"
        raise ConfigError(f"there is no command {name!r}", hint=hint)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    name="resile",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="resile")
def app() -> None:
    """Keep services running: detect, contain, recover, verify, record.

    Begin with `resile init`, then `resile up`.
    """


def invoke(arguments: Sequence[str]) -> int:
    """Run the subcommand that the arguments name; give its exit code.

    Raises:
        ResileError: Whatever the subcommand raises; wrong arguments as ConfigError.
    """
    try:
        result: Any = app.main(args=list(arguments), prog_name="resile", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message())
        return 0
    except click.UsageError as exc:
        path = exc.ctx.command_path if exc.ctx else "resile"
        raise ConfigError(
            exc.format_message().rstrip(".").replace("\n", " "), hint=f"`{path} --help` tells more"
        ) from exc
    except click.ClickException as exc:
        raise ConfigError(exc.format_message()) from exc
    except click.Abort:
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0
