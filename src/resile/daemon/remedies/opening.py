"""Puts the remedies together from what the brain has."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.journal import Journal
from resile.core.units import format_size
from resile.daemon.crashes import Crashes
from resile.daemon.desks import Desks
from resile.daemon.groups import members_of
from resile.daemon.remedies.declarations import Declarations
from resile.daemon.remedies.explaining import Explainer
from resile.daemon.remedies.freeing import Freeing
from resile.daemon.remedies.owners import Owners
from resile.daemon.remedies.pruning import kept_of, prunables_of, prune
from resile.daemon.remedies.remedies import Hands, Remedies
from resile.health import CheckSpec
from resile.recover import World


def open_remedies(
    config: Config,
    *,
    world: World,
    state: Path,
    folder: Path,
    journal: Journal,
    checks: Sequence[CheckSpec],
    desks: Desks,
    declarations: Declarations,
    relaunch: Callable[[Config], None],
    look_again: Callable[[], None],
    clock: Clock,
) -> Remedies:
    """Open them; nothing is looked at before it is asked for.

    Args:
        config: What is declared.
        world: Tells what is wrong and what runs.
        state: The state folder.
        folder: Of `resile.toml`.
        journal: Read for evidence.
        checks: Every check.
        desks: The contained runs, and the secretkeeper.
        declarations: How services were declared.
        relaunch: Takes the configuration that counts for starts from now on.
        look_again: Has every check looked at soon.
        clock: Waits and stamps.
    """
    folders = {name: str(service.cwd) for name, service in config.service.items()}
    owners = Owners(
        world,
        state=state,
        members=lambda *which: members_of(state, *which),
        guard_pid=os.getppid(),
    )
    return Remedies(
        config,
        world=world,
        state=state,
        journal=journal,
        hands=Hands(
            runs=desks.runs, secrets=desks.secrets, relaunch=relaunch, look_again=look_again
        ),
        freeing=Freeing(owners, checks=checks, clock=clock),
        explainer=Explainer(folders=folders, folder=folder),
        declarations=declarations,
        clock=clock,
    )


def pruner(config: Config, *, folder: Path, state: Path, crashes: Crashes) -> Callable[[], str]:
    """Give what makes room: old logs and crash bundles go, and what is declared prunable.

    Args:
        config: What is declared.
        folder: Of `resile.toml`.
        state: The state folder.
        crashes: Keeps the logs and bundles.
    """
    prunables = prunables_of(config, folder=folder)
    kept = kept_of(config, state=state)

    def make_room() -> str:
        freed = crashes.prune()
        if not prunables:
            return freed
        pruned = prune(prunables, kept=kept)
        return (
            f"{freed} of logs and crash bundles, and {format_size(pruned.freed_bytes)} in "
            f"{pruned.files} prunable files"
        )

    return make_room
