"""The provider `file`: a folder with a file for each secret, for reading only.

So do Docker (`/run/secrets`), Kubernetes and systemd give secrets. Kubernetes keeps links: a name leads through
`..data` to the folder of the newest version, and is followed as far as it stays in the folder. Every step below
the folder is opened by itself, without following a link, so that nobody leads us out in between.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.log_line import log_line
from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SecretStage
from resile.errors import ConfigError, ProviderDownError, SecretDeniedError, SecretError
from resile.secrets.advice import Advice, AdviceLevel
from resile.secrets.checking import need_name, need_value, only_version, unknown_secret
from resile.secrets.model import CURRENT_VERSION, VALUE_BYTES_MAX, Abilities, Version
from resile.secrets.value import Secret

logger = logging.getLogger(__name__)

NAMES_MAX = 10_000
_TRIES = 3
"""A folder that is exchanged or a file that is written anew while it is read is read again."""
_FOLDER_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK, so that opening a pipe does not wait for its writer."""


class _Content(NamedTuple):
    value: bytes
    status: os.stat_result


class FileProvider:
    """Secrets in files. Safe to share between threads.

    One line end at the end of a text is no part of its value, as editors and `echo` put it there.

    Args:
        folder: Where they are; `db/password` is the file `password` in its folder `db`.
    """

    kind: Final = "file"
    abilities: Final = Abilities(has_versions=False, can_write=False)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: Path | None,  # noqa: ARG003 - it keeps nothing
        environ: Mapping[str, str],  # noqa: ARG003 - the folder is named
        clock: Clock = SYSTEM_CLOCK,  # noqa: ARG003 - it does not wait
    ) -> Self:
        """Open what the table `[secrets]` says.

        Raises:
            ConfigError: If it names no folder.
        """
        folder = settings.get("folder")
        if not folder:
            raise ConfigError(
                "the provider `file` has no folder", hint='say folder = "/run/secrets" in [secrets]'
            )
        return cls(Path(folder))

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give the content of the secret's file.

        Raises:
            SecretDeniedError: If this user may not read it, or it leads out of the folder.
        """
        need_name(name)
        content = self._content(name)
        need_value(name, content.value)
        there = _version(content.status)
        only_version(name, version, there)
        return Secret(name, there.number, content.value, created_at=there.created_at)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give the only version that there is."""
        need_name(name)
        return (_version(self._content(name).status),)

    def names(self) -> tuple[str, ...]:
        """Give the names of all files, sorted; of very many, the first 10,000 that are found."""
        return tuple(sorted(name for name, _ in self._entries()))

    def check(self) -> None:
        """See that the folder can be read. What in it is open to other users is only warned of."""
        for advice in self.examine():
            fields: dict[str, object] = {"file": advice.about}
            logger.warning(log_line("secrets.file_open_to_others", fields), extra=fields)

    def examine(self) -> tuple[Advice, ...]:
        """Tell which files other users may read."""
        return tuple(
            Advice(
                level=AdviceLevel.WARNING,
                about=str(self._folder / name),
                message=f"others may read the secret {name}",
                hint=f"chmod 600 {self._folder / name}, unless what keeps the folder needs it so",
            )
            for name, status in self._entries()
            if stat.S_IMODE(status.st_mode) & 0o007
        )

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _entries(self) -> Iterator[tuple[str, os.stat_result]]:
        """Give all secrets, with the status of their files."""
        self._need_folder()
        found = 0
        for above, folders, files in os.walk(self._folder):
            folders[:] = [one for one in folders if is_secret_name(one)]
            for file in files:
                path = Path(above, file)
                name = str(path.relative_to(self._folder))
                if not is_secret_name(name) or found == NAMES_MAX:
                    continue
                with contextlib.suppress(OSError, SecretError):
                    status = self._resolved(name).stat()
                    if stat.S_ISREG(status.st_mode):
                        found += 1
                        yield name, status

    def _need_folder(self) -> None:
        try:
            with os.scandir(self._folder):
                pass
        except OSError as exc:
            raise ProviderDownError(
                f"the folder of secrets {self._folder} cannot be read: {exc.strerror}",
                hint="see that it is there, and that this user may read it",
            ) from exc

    def _content(self, name: str) -> _Content:
        """Read a file whole, again if it changed meanwhile."""
        failure: OSError | None = None
        for _ in range(_TRIES):
            try:
                content = self._read_once(name)
            except OSError as exc:
                failure = exc
                continue
            if content is not None:
                return content
        if failure is None:
            raise ProviderDownError(
                f"the file of secret {name!r} changes while it is read", hint="try again"
            )
        if isinstance(failure, PermissionError):
            raise SecretDeniedError(
                f"this user may not read the file of secret {name!r}",
                hint=f"see who may: ls -l {self._folder / name}",
            ) from failure
        if isinstance(failure, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            self._need_folder()
            raise unknown_secret(name, hint=f"there is no file {self._folder / name}") from failure
        raise ProviderDownError(
            f"the file of secret {name!r} cannot be read: {failure.strerror}",
            hint=f"look at it: {self._folder / name}",
        ) from failure

    def _read_once(self, name: str) -> _Content | None:
        """Read a file; None if it was changed meanwhile."""
        real_folder = _real(self._folder)
        inside = self._resolved(name).relative_to(real_folder)
        with _opened_below(real_folder, inside) as fd:
            before = os.fstat(fd)
            if stat.S_ISDIR(before.st_mode):
                raise IsADirectoryError
            if not stat.S_ISREG(before.st_mode):
                raise SecretError(
                    f"{self._folder / name} is no file", hint="put a file there for the secret"
                )
            value = b"".join(_pieces(fd))
            after = os.fstat(fd)
        is_same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        return _Content(_without_line_end(value), after) if is_same else None

    def _resolved(self, name: str) -> Path:
        """Give where a name really leads.

        Raises:
            OSError: If it leads nowhere.
            SecretDeniedError: If it leads out of the folder.
        """
        real = _real(self._folder / name)
        if not real.is_relative_to(_real(self._folder)):
            raise SecretDeniedError(
                f"the file of secret {name!r} is a link that leads out of {self._folder}",
                hint="put the file itself there",
            )
        return real


def _real(path: Path) -> Path:
    """Follow all links; OSError if they lead nowhere or in a circle, which pathlib does not tell so."""
    return Path(os.path.realpath(path, strict=True))


@contextlib.contextmanager
def _opened_below(folder: Path, inside: Path) -> Iterator[int]:
    """Open a file below a folder, step by step, and follow no link."""
    with contextlib.ExitStack() as stack:
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        for part in inside.parts[:-1]:
            fd = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
            stack.callback(os.close, fd)
        fd = os.open(inside.name, _FILE_FLAGS, dir_fd=fd)
        stack.callback(os.close, fd)
        yield fd


def _pieces(fd: int) -> Iterator[bytes]:
    """Read a file up to one byte more than a value and a line end may have."""
    left = VALUE_BYTES_MAX + 3
    while left and (piece := os.read(fd, left)):
        left -= len(piece)
        yield piece


def _without_line_end(value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError:
        return value
    return value.removesuffix(b"\r\n") if value.endswith(b"\r\n") else value.removesuffix(b"\n")


def _version(status: os.stat_result) -> Version:
    """Number a version by which file it is and when it was written: all processes see the same."""
    return Version(
        number=f"{status.st_mtime_ns:x}-{status.st_ino:x}",
        stage=SecretStage.CURRENT,
        created_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )
