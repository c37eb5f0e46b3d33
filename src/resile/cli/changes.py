"""What commands do about the log of a folder when they take a snapshot of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from resile.cli.output import say
from resile.cli.stores import StoreOptions, config_of, state_of
from resile.errors import ResileError

if TYPE_CHECKING:
    from resile.store import Repository


def keep_log(options: StoreOptions, folder: Path) -> None:
    """Let a folder have a log, or none, as its table in the configuration says. Before a snapshot.

    What fails is said, and hinders no snapshot.

    Raises:
        ConfigError: If the configuration is wrong.
    """
    config, state = config_of(options), state_of(options)
    if config is None or state is None:
        return
    from resile.store import begin_log, stop_log

    for section in config.snapshot.values():
        if section.folder.resolve() != folder.resolve():
            continue
        try:
            if section.log:
                begin_log(state, folder, excludes=section.exclude)
            else:
                stop_log(state, folder)
        except ResileError as exc:
            say(f"warning: {exc.message}")


def shorten_log(options: StoreOptions, folder: Path, store: "Repository") -> None:
    """Let go of what no snapshot needs. After a snapshot; what fails is said.

    Raises:
        ConfigError: If the configuration that is named is not there.
    """
    state = state_of(options)
    if state is None:
        return
    from resile.store import trim_log

    try:
        trim_log(state, folder, store.snapshots())
    except ResileError as exc:
        say(f"warning: {exc.message}")
