"""Ask for a snapshot now: of the storekeeper of this system, which knows what changed, or here.

A process belongs to a system if the guard started it, as a service or below one.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resile.core.unix import ask_unix
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import ConfigError, DaemonUnreachableError, StoreError
from resile.store.backends.choose import open_backend
from resile.store.model import CHECKPOINT_TAG
from resile.store.opening import cache_folder, open_or_create
from resile.store.repository import Repository
from resile.store.snapshot import Taken, Why, take_snapshot

KEEPER_SOCKET_NAME = "storekeeper.sock"
TIMEOUT_S = 5.0
"""A snapshot of few changes takes milliseconds; it may have to wait for one that is being taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A snapshot that was asked for.

    Args:
        snapshot_id: Which; `resile restore` takes it, or its first digits.
        is_changed: Something differs from the snapshot before it.
        why: Why files were read.
    """

    snapshot_id: str
    is_changed: bool
    why: Why

    @classmethod
    def of(cls, taken: Taken) -> "Checkpoint":
        """Tell of one that was taken here."""
        return cls(
            snapshot_id=taken.snapshot.snapshot_id, is_changed=taken.is_changed, why=taken.why
        )

    def in_store(self, repository: Repository) -> Taken:
        """Give all that the store says of it, as if it had been taken here.

        Raises:
            StoreError: If it is not there any more.
        """
        found = repository.find(self.snapshot_id)
        return Taken(snapshot=found, why=self.why, is_changed=self.is_changed)


def snapshot(
    folder: str | os.PathLike[str],
    *,
    tags: Sequence[str] = (),
    is_kept: bool = False,
    reuse_within_s: float = 0.0,
    store: str | Path | None = None,
    key_file: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Checkpoint:
    """Take a snapshot of a folder, and wait for it; durable when it returns.

    The storekeeper of the system that this process belongs to takes it, if it keeps that folder in
    that store; otherwise it is taken here. Safe to call from any thread.

    Args:
        folder: The folder.
        tags: What to call it, at most 31.
        is_kept: It stays until somebody lets it go. Default: it is also called `checkpoint`, and
            goes when the folder's `keep` rules do not keep it any more, so that one before each
            piece of work does not fill the disk.
        reuse_within_s: Where nothing changed since the last snapshot, and that is not older than
            this, it is given instead, with its own tags; it goes when it would have gone. A write
            by a mapping, or a hard link elsewhere, is no change here. Default 0: one each time.
        store: Where to: a folder or a URL. Needed where no storekeeper keeps the folder; made if
            there is none. Default: the store of this system.
        key_file: The key of `store`; made with it.
        timeout_s: How long to wait for the storekeeper at most, above 0. What is taken here takes
            as long as it takes.

    Raises:
        ConfigError: If no store is named and this system does not keep the folder, or it is none;
            or if one that may go is to be reused for one that stays.
        DaemonUnreachableError: If no store is named, and the storekeeper is not there now.
        StoreError: If there is no snapshot; or not in time (`is_transient`), which may still come.
    """
    path = Path(folder).absolute()
    names = _names(tags, is_kept=is_kept, reuse_within_s=reuse_within_s)
    state = os.environ.get(STATE_VARIABLE)
    if state is not None:
        place = "" if store is None else open_backend(store).url
        try:
            done = ask_keeper(
                Path(state),
                path,
                tags=names,
                reuse_within_s=reuse_within_s,
                place=place,
                timeout_s=timeout_s,
            )
        except DaemonUnreachableError:
            if store is None:
                raise
            done = None
        if done is not None:
            return done
    if store is None:
        raise _nowhere(path, is_in_system=state is not None)
    with _opened(store, key_file) as there:
        return Checkpoint.of(take_snapshot(there, path, tags=names, reuse_within_s=reuse_within_s))


def ask_keeper(
    state: Path,
    folder: Path,
    *,
    tags: Sequence[str],
    reuse_within_s: float = 0.0,
    place: str = "",
    timeout_s: float,
) -> Checkpoint | None:
    """Have the storekeeper of a system take a snapshot, and wait for it.

    Args:
        state: The system's state folder.
        folder: The folder, absolute.
        tags: What to call it, in addition to what its section says.
        reuse_within_s: As `snapshot` has it.
        place: The URL of the store that is meant; empty: whichever the system has.
        timeout_s: How long to wait at most.

    Returns:
        None if it keeps another folder, or another store.

    Raises:
        DaemonUnreachableError: If no storekeeper is there.
        StoreError: If it tried and could not; or not in time (`is_transient`), which may still come.
    """
    question: dict[str, object] = {"snapshot": str(folder), "tags": list(tags)}
    if reuse_within_s > 0:
        question["reuse_within_s"] = reuse_within_s
    if place:
        question["store"] = place
    try:
        answer = ask_unix(state / "run" / KEEPER_SOCKET_NAME, question, timeout_s=timeout_s)
    except TimeoutError as exc:
        raise StoreError(
            f"the storekeeper took no snapshot of {folder} within {timeout_s:g} s",
            hint="it may be busy: see `resile events --kind 'snapshot.*'`, or wait for longer",
            is_transient=True,
        ) from exc
    except (OSError, ValueError) as exc:
        raise DaemonUnreachableError(
            f"the storekeeper does not answer: {exc}",
            hint="it is started again by itself within a minute; `resile status` tells of the rest",
            is_transient=True,
        ) from exc
    return _read_answer(answer)


def _read_answer(answer: Mapping[str, object]) -> Checkpoint | None:
    if answer.get("unknown"):
        return None
    match answer:
        case {"id": str() as snapshot_id, "is_changed": bool() as is_changed, "why": dict() as why}:
            counts = {name: why.get(name, 0) for name in Why.__dataclass_fields__}
            return Checkpoint(snapshot_id=snapshot_id, is_changed=is_changed, why=Why(**counts))
    raise StoreError(
        str(answer.get("error", "the storekeeper's answer cannot be read")),
        hint=str(answer.get("hint", "")),
    )


def _names(tags: Sequence[str], *, is_kept: bool, reuse_within_s: float) -> tuple[str, ...]:
    if not is_kept:
        return (*tags, CHECKPOINT_TAG)
    if reuse_within_s > 0:
        raise ConfigError(
            "a snapshot that stays cannot be an earlier one, which may go",
            hint="leave out is_kept or reuse_within_s",
        )
    return tuple(tags)


def _opened(
    store: str | Path, key_file: Path | None
) -> contextlib.AbstractContextManager[Repository]:
    return contextlib.closing(
        open_or_create(open_backend(store), cache=cache_folder(os.environ), key_file=key_file)
    )


def _nowhere(folder: Path, *, is_in_system: bool) -> ConfigError:
    if is_in_system:
        return ConfigError(
            f"this system takes no snapshots of {folder}",
            hint=f'declare it: [snapshot.NAME] folder = "{folder}", or name a store=',
        )
    return ConfigError(
        "no storekeeper runs for this process, and no store is named",
        hint="name one: store=FOLDER; or start the process as a service of a resile.toml",
    )
