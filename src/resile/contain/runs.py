"""The folder of runs: one private folder each, with a record that says what it is and where it stands.

    RUNS/locks/            locks of workspaces, shared by all runs
    RUNS/run_.../run.json  the record
    RUNS/run_.../live.json what it uses, twice a second, for whoever looks on
    RUNS/run_.../killed    who asked for its end, written before anybody kills
    RUNS/run_.../...       its transaction
    RUNS/retired-run_...   what is over, and removed in a moment

A run's folder is removed when its changes are committed or undone; its story is in the journal.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from resile.contain.cgroups import Cgroup, CgroupLayout, open_tree
from resile.contain.places import RUNS_VARIABLE
from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_atomic
from resile.core.process import Identity, is_alive
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConfigError, OperationError, TransactionError

_VERSION = 1
_RECORD, _LIVE, _KILLED = "run.json", "live.json", "killed"
_PREFIX = "run_"
_RETIRED = "retired-"
_REMOVE_TRIES = 100
"""Each time somebody else was quicker with an entry; together they come to an end."""
_WORDS_MAX = 64
_WORD_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run is, and where it stands.

    Args:
        run_id: Its id.
        command: What runs; shortened, and without what looks like a secret.
        workspaces: Its workspaces.
        commit: As `CommitMode` says.
        profile: The name of its limits; empty if they were given one by one.
        limits: What it may use, with the memory in bytes.
        state: Where it stands.
        began_at: When.
        supervisor: Who watches it; the run ends with that process.
        journal: The folder of the journal that has its story.
        layout: Where its control group is; None if it has none.
        group: The control group's name.
        launcher: The process that dies last of it; None if it died before anything was run.
        backend: Which launcher.
        reason, message: Why it ended; None and empty while it runs.
        changes: How many paths it changed.
    """

    run_id: str
    command: tuple[str, ...]
    workspaces: tuple[str, ...]
    commit: str
    profile: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    state: RunState
    began_at: datetime
    supervisor: Identity
    journal: str
    layout: CgroupLayout | None = None
    group: str = ""
    launcher: Identity | None = None
    backend: str = ""
    reason: RunReason | None = None
    message: str = ""
    changes: int = 0

    @property
    def is_orphan(self) -> bool:
        """Tell whether nobody watches it although somebody should."""
        is_unfinished = self.state is not RunState.READY
        return is_unfinished and not is_alive(self.supervisor)

    def open_group(self) -> Cgroup | None:
        """Give its control group; None if it has none."""
        return None if self.layout is None else open_tree(self.layout).adopt(self.group)


class Runs:
    """The records of all runs of this user. Safe to share between processes.

    Args:
        folder: Where they are; it is made when the first run begins.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, run_id: str) -> Path:
        """Tell the folder of a run."""
        return self.folder / run_id

    def create(self, run_id: str) -> Path:
        """Make the folder of a run.

        Raises:
            OperationError: If it cannot be made.
        """
        make_private_dir(self.folder)
        path = self.path(run_id)
        try:
            path.mkdir(mode=0o700)
        except OSError as exc:
            raise OperationError(
                f"folder {path} cannot be made: {exc.strerror}",
                hint=f"Make room on the disk of {self.folder}, or choose another one with "
                f"{RUNS_VARIABLE}.",
            ) from exc
        return path

    def write(self, record: RunRecord) -> None:
        """Write a record. It is not durable: the journal is what counts.

        Raises:
            OperationError: If it cannot be written.
        """
        data = {"version": _VERSION, **encode(record)}
        write_atomic(self.path(record.run_id) / _RECORD, json.dumps(data).encode())

    def read(self, run_id: str) -> RunRecord:
        """Read one record.

        Raises:
            TransactionError: If it cannot be read.
        """
        path = self.path(run_id) / _RECORD
        try:
            return decode(RunRecord, json.loads(path.read_bytes()))
        except (OSError, ValueError) as exc:
            raise TransactionError(
                f"the record of {run_id} cannot be read: {exc}",
                hint="`resile recover` removes what never began",
            ) from exc

    def find(self, prefix: str) -> RunRecord:
        """Read the record whose id begins so, with or without `run_`; `last` is the newest.

        Raises:
            ConfigError: If there is none, or more than one.
        """
        ids = self.ids()
        if not prefix:
            raise ConfigError("an empty text names no run", hint="`resile runs` lists them")
        if prefix == "last" and ids:
            return self.read(ids[-1])
        found = matching(ids, prefix)
        if len(found) == 1:
            return self.read(found[0])
        if found:
            raise ConfigError(f"{len(found)} runs begin with {prefix!r}", hint="type more of it")
        raise ConfigError(
            f"there is no open run {prefix!r}",
            hint="`resile runs` lists them, and `resile runs --all` those that are closed, too",
        )

    def ids(self) -> tuple[str, ...]:
        """List the ids of all runs that have a folder, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            names = (entry.name for entry in self.folder.iterdir())
            return tuple(sorted(name for name in names if name.startswith(_PREFIX)))
        return ()

    def records(self) -> Iterator[RunRecord]:
        """Give every record that can be read, the oldest first."""
        for run_id in self.ids():
            with contextlib.suppress(TransactionError):
                yield self.read(run_id)

    def note_live(self, run_id: str, figures: Mapping[str, Any]) -> None:
        """Write what a run uses now."""
        write_atomic(self.path(run_id) / _LIVE, json.dumps(figures).encode())

    def live(self, run_id: str) -> Mapping[str, Any]:
        """Read what a run uses; empty if nothing was written yet."""
        with contextlib.suppress(OSError, ValueError):
            figures = json.loads((self.path(run_id) / _LIVE).read_bytes())
            if isinstance(figures, dict):
                return figures
        return {}

    def note_kill(self, run_id: str, who: str) -> None:
        """Write who asked for a run's end, before it is killed.

        Raises:
            OperationError: If it cannot be written.
        """
        write_atomic(self.path(run_id) / _KILLED, who.encode())

    def killed_by(self, run_id: str) -> str:
        """Tell who asked for a run's end; empty if nobody did."""
        with contextlib.suppress(OSError):
            return (self.path(run_id) / _KILLED).read_text(encoding="utf-8", errors="replace")
        return ""

    def retire(self, run_id: str) -> None:
        """Take a run off the list; its folder is removed by `clear`. Nothing happens if it is gone.

        Removing takes milliseconds, which nobody has to wait for.
        """
        with contextlib.suppress(FileNotFoundError):
            self.path(run_id).rename(self.folder / f"{_RETIRED}{run_id}")

    def clear(self) -> None:
        """Remove the folders of retired runs; safe beside others that do the same."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self.folder.iterdir():
                if entry.name.startswith(_RETIRED):
                    self._remove(entry.name)

    def remove(self, run_id: str) -> None:
        """Remove a run's folder with all that is in it; nothing happens if it is gone."""
        self._remove(run_id)

    def _remove(self, name: str) -> None:
        """Remove a folder, however deep and whatever its modes; others may do the same meanwhile."""
        # Loaded here, as a host looks for its runs before it needs anything of a transaction.
        from resile.core.trees import remove_tree

        try:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            for _ in range(_REMOVE_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    remove_tree(fd, name)
                    return
        finally:
            os.close(fd)


def matching(ids: Sequence[str], text: str) -> tuple[str, ...]:
    """Give the ids that begin with a text, with or without `run_`; else those that end with it."""
    start = text if text.startswith(_PREFIX) else _PREFIX + text.upper()
    found = tuple(run_id for run_id in ids if run_id.startswith(start))
    return found or tuple(run_id for run_id in ids if run_id.endswith(text.upper()))


_SECRET_WORDS = ("password", "passwd", "token", "secret", "apikey", "api-key", "api_key")


def shown(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Give a command for records: shortened, and without the values of what looks like a secret."""
    words = []
    hide_next = False
    for word in argv[:_WORDS_MAX]:
        name, equals, _ = word.partition("=")
        is_secret = any(secret in name.lower() for secret in _SECRET_WORDS)
        if hide_next:
            words.append("***")
        elif is_secret and equals:
            words.append(f"{name}=***")
        else:
            words.append(word[:_WORD_LENGTH_MAX])
        hide_next = is_secret and not equals and word.startswith("-")
    rest = len(argv) - _WORDS_MAX
    return (*words, f"... {rest} more") if rest > 0 else tuple(words)
