"""Tells how a folder came to be as it was at a moment."""

from typing import Any

from resile.cli.output import say
from resile.cli.stores import local_time
from resile.store import Moment, Snapshot


def say_moment(moment: Moment, chosen: Snapshot) -> None:
    """Say what was replayed on the snapshot, and what the log does not cover."""
    if moment.commits:
        count, last = len(moment.commits), moment.commits[-1].committed_at
        what = "1 commit" if count == 1 else f"{count:,} commits"
        print(f"replayed from its log: {what}, the last of {local_time(last)}")
    else:
        why = "the log has no changes after it" if moment.is_logged else "its folder has no log"
        print(f"that is the snapshot of {local_time(chosen.started_at)}; {why}")
    if moment.gap:
        say(f"warning: {moment.gap}")
    if moment.problem:
        say(f"not replayed any further: {moment.problem}")


def moment_data(moment: Moment) -> dict[str, Any]:
    """Write the same for `--json`."""
    return {
        "log": moment.is_logged,
        "replayed": [
            {
                "transaction": one.transaction,
                "who": who_of(one.origin),
                "committed_at": one.committed_at.isoformat(),
            }
            for one in moment.commits
        ],
        "until": moment.commits[-1].committed_at.isoformat() if moment.commits else None,
        "gap": moment.gap,
        "problem": moment.problem,
    }


def who_of(origin: str) -> str:
    """Give the run that committed; empty if it was a transaction of Python code."""
    return origin.partition(":")[0]
