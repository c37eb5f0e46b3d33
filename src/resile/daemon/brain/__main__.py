"""`python -m resile.daemon.brain --config FILE --state DIR`: one life of the brain.

The guard starts it, with its end of a socket pair in RESILE_GUARD_FD. Exit codes are those of
errors.py.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK
from resile.core.journal import SegmentLimits, SqliteJournal, open_journal
from resile.daemon.ballast import BALLAST_NAME, Ballast
from resile.daemon.brain.brain import Brain
from resile.daemon.last_good import load_or_keep
from resile.daemon.protocol import GUARD_FD_VARIABLE
from resile.errors import JournalBrokenError, JournalError, ResileError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one life of the brain; give its exit code (errors.py)."""
    parser = argparse.ArgumentParser(prog="python -m resile.daemon.brain")
    parser.add_argument("--config", type=Path, required=True, help="the resile.toml")
    parser.add_argument("--state", type=Path, required=True, help="the state folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        return asyncio.run(_live(options.config.absolute(), options.state))
    except ResileError as exc:
        sys.stderr.write(exc.report() + "\n")
        return exc.exit_code


async def _live(config_path: Path, state: Path) -> int:
    _raise_descriptor_limit()
    config = load_or_keep(config_path, state=state, environ=os.environ)
    guard_socket = socket.socket(fileno=int(os.environ[GUARD_FD_VARIABLE]))
    limits = SegmentLimits(
        bytes_max=config.resile.journal.segment_size,
        age_max_s=config.resile.journal.segment_age,
        count_max=config.resile.journal.segments_max,
    )
    with contextlib.closing(_open_journal(state, limits)) as journal:
        brain = Brain(
            config,
            config_file=config_path,
            state=state,
            journal=journal,
            guard_socket=guard_socket,
            environ=os.environ,
            clock=SYSTEM_CLOCK,
        )
        return await brain.run()


def _open_journal(state: Path, limits: SegmentLimits) -> SqliteJournal:
    """Open the journal; on a full disk give up the ballast for it."""
    folder = state / "journal"
    try:
        return open_journal(folder, limits=limits)
    except JournalBrokenError:
        raise
    except JournalError:
        if not Ballast(folder / BALLAST_NAME).release():
            raise
        return open_journal(folder, limits=limits)


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as the system allows: clients must not starve the checks."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
