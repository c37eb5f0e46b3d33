"""What is not as it should be about the files of the local store."""

import stat
from collections.abc import Iterator
from pathlib import Path

from resile.secrets.advice import Advice, AdviceLevel
from resile.secrets.providers.local_keys import KeyKind, MasterKey


def examine_files(path: Path, key: MasterKey) -> tuple[Advice, ...]:
    """Look at the modes of the store's files, and at where its key lies.

    A key file that others may read is no advice: the store does not open with it.
    """
    return (*_open_to_others(path), *_beside(path, key), *_left_over(key))


def _open_to_others(path: Path) -> Iterator[Advice]:
    folder = path.parent
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Advice(
            level=AdviceLevel.WARNING,
            about=str(folder),
            message=f"others may look into the folder of the secrets, {folder}",
            hint=f"chmod 700 {folder}",
        )
    for file in (path, path.with_name(f"{path.name}-wal")):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Advice(
                level=AdviceLevel.WARNING,
                about=str(file),
                message=f"others may read {file}, whose values are sealed",
                hint=f"chmod 600 {file}",
            )


def _beside(path: Path, key: MasterKey) -> Iterator[Advice]:
    if key.kind is not KeyKind.CREDENTIAL and key.path.parent == path.parent:
        yield Advice(
            level=AdviceLevel.NOTE,
            about=str(key.path),
            message=f"the {key.kind} lies beside the secrets: whoever copies the folder has both",
            hint="leave it out of backups of the folder and keep it safe elsewhere; or take a "
            "systemd credential",
        )


def _left_over(key: MasterKey) -> Iterator[Advice]:
    if key.next_path.exists():
        yield Advice(
            level=AdviceLevel.WARNING,
            about=str(key.next_path),
            message=f"a next master key stands in {key.next_path}",
            hint="put it in the place of the old one if the store was rekeyed; else rekey, or remove it",
        )
