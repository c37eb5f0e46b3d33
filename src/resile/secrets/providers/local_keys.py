"""Where the master key of a local store comes from: a key file, a systemd credential, a passphrase.

Beside each stands, while the store is given another master key, the next one: the same path and `.new`. It
is there before the store changes over, and takes the place of the old one afterwards. So whoever opens the store
in between finds both, and the store's check value tells which one it is.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from resile.core.files import SYSTEM_FILES, Files, write_durable
from resile.errors import OperationError, SecretKeyError
from resile.secrets.providers.local_seals import KEY_BYTES

SALT_BYTES = 16
PASSPHRASE_LENGTH_MIN = 12
"""Six random words have more; what is shorter is guessed even at a third of a second for each guess."""
_BYTES_MAX = 4096
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK, so that opening a pipe does not wait for its writer."""


class KeyKind(StrEnum):
    """Where a master key comes from."""

    FILE = "key file"
    CREDENTIAL = "credential"
    PASSPHRASE = "passphrase file"  # noqa: S105 - what it is called


class KeyCost(NamedTuple):
    """What deriving a key from a passphrase costs (Argon2id). Part of the format: not to be changed.

    Source: RFC 9106, 4: the second recommended option, for where memory is scarce.
    """

    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 64 << 10


_COST = KeyCost()


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKey:
    """One source of a master key. Nothing of the key is kept here.

    Args:
        kind: Which sort of source.
        path: Its file.
        files: How files are written; tests give some that crash.
        cost: Of a passphrase; tests give a lower one.
    """

    kind: KeyKind
    path: Path
    files: Files = SYSTEM_FILES
    cost: KeyCost = _COST

    @property
    def next_path(self) -> Path:
        """Where the next master key stands while there are two."""
        return self.path.with_name(f"{self.path.name}.new")

    @property
    def needs_salt(self) -> bool:
        """Tell whether it is a passphrase, and its store keeps a salt."""
        return self.kind is KeyKind.PASSPHRASE

    def new_salt(self) -> bytes:
        """Give a salt for a new key; empty where none is needed."""
        return os.urandom(SALT_BYTES) if self.needs_salt else b""

    def is_missing(self) -> bool:
        """Tell whether there is no file."""
        return not self.path.exists()

    def read(self, salt: bytes) -> bytes:
        """Give the master key.

        Raises:
            SecretKeyError: If there is none, others may read it, or it is none.
        """
        return self._read(self.path, salt)

    def fitting(self, salt: bytes, *, fits: Callable[[bytes], bool]) -> tuple[bytes, Path]:
        """Give the master key that is the store's, and where it stood: in its place, or as the next.

        The first place is looked at again last: the next key may just have been moved there.

        Raises:
            SecretKeyError: If neither is; what is wrong with the first place.
        """
        wrong: SecretKeyError | None = None
        for path in (self.path, self.next_path, self.path):
            try:
                key = self._read(path, salt)
            except SecretKeyError as exc:
                wrong = exc if path == self.path else wrong
                continue
            if fits(key):
                return key, path
        raise wrong or SecretKeyError(
            f"the {self.kind} {self.path} holds another master key than the store's",
            hint="bring back the one that belongs to it, from where it was kept safe",
        )

    def make(self) -> None:
        """Make the first key, if this is a key file that is missing; durable when it returns.

        Raises:
            SecretKeyError: If it could not be written.
        """
        if self.kind is KeyKind.FILE and self.is_missing():
            self._write(self.path)

    def prepare_next(self, salt: bytes) -> bytes:
        """Give the next key: made beside a key file, durably; for other sources it must stand there.

        Raises:
            SecretKeyError: If it does not, or could not be written.
        """
        if self.kind is KeyKind.FILE:
            self._write(self.next_path)
        elif not self.next_path.exists():
            raise SecretKeyError(
                f"there is no new master key: {self.next_path} is missing",
                hint=f"put the new {self.kind} there, mode 0600, and rekey again",
            )
        return self._read(self.next_path, salt)

    def adopt_next(self) -> None:
        """Let the next key take the place of the old one; durable when it returns.

        A credential is its owner's to replace; until then it is found beside the old one.

        Raises:
            SecretKeyError: If it could not be done; the store opens with the next key where it is.
        """
        if self.kind is not KeyKind.CREDENTIAL:
            self._try(lambda: self.files.replace(self.next_path, self.path))

    def drop_next(self) -> None:
        """Remove a next key that was made here and never came into use.

        Raises:
            SecretKeyError: If it could not be done.
        """
        if self.kind is KeyKind.FILE and self.next_path.exists():
            self._try(lambda: self.files.remove(self.next_path))

    def _read(self, path: Path, salt: bytes) -> bytes:
        text = self._content(path)
        if self.needs_salt:
            return self._derived(text, salt)
        try:
            key = bytes.fromhex(text.decode("ascii").strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            # Not chained: the error of the codec holds what was in the file.
            raise SecretKeyError(
                f"{path} holds no master key", hint="a master key is 64 hex digits"
            ) from None
        return key

    def _content(self, path: Path) -> bytes:
        try:
            fd = os.open(path, _FLAGS)
            with os.fdopen(fd, "rb") as file:
                status = os.fstat(file.fileno())
                text = file.read(_BYTES_MAX)
        except OSError as exc:
            raise SecretKeyError(
                f"the {self.kind} {path} cannot be read: {exc.strerror}",
                hint="without the master key no secret can be read",
            ) from exc
        for flaw in self._flaws(path, status):
            raise flaw
        return text

    def _flaws(self, path: Path, status: os.stat_result) -> Iterator[SecretKeyError]:
        """Tell why a file is not trusted.

        A credential belongs to root, and its user gets it by an access list, whose mask looks like the
        group's permission; nobody else can enter its folder. So only others' permission counts there.
        """
        if not stat.S_ISREG(status.st_mode):
            yield SecretKeyError(f"the {self.kind} {path} is no file", hint="give a file")
        readers = 0o007 if self.kind is KeyKind.CREDENTIAL else 0o077
        if stat.S_IMODE(status.st_mode) & readers:
            yield SecretKeyError(
                f"others may read the {self.kind} {path}",
                hint=f"chmod 600 {path}; and give the store another master key if somebody might have",
            )
        if status.st_uid not in (os.geteuid(), 0):
            yield SecretKeyError(
                f"the {self.kind} {path} belongs to another user", hint=f"chown it: {path}"
            )

    def _derived(self, text: bytes, salt: bytes) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        passphrase = text.rstrip(b"\r\n")
        if len(passphrase) < PASSPHRASE_LENGTH_MIN:
            raise SecretKeyError(
                f"the passphrase in {self.path} has {len(passphrase)} bytes",
                hint=f"it needs {PASSPHRASE_LENGTH_MIN}; take six random words",
            )
        try:
            return Argon2id(
                salt=salt,
                length=KEY_BYTES,
                iterations=self.cost.iterations,
                lanes=self.cost.lanes,
                memory_cost=self.cost.memory_kib,
            ).derive(passphrase)
        except UnsupportedAlgorithm as exc:
            raise SecretKeyError(
                "this OpenSSL knows no Argon2id", hint="take a key file, or OpenSSL 3.2 or later"
            ) from exc

    def _write(self, path: Path) -> None:
        try:
            write_durable(path, os.urandom(KEY_BYTES).hex().encode() + b"\n", files=self.files)
        except OperationError as exc:
            raise SecretKeyError(exc.message, hint=exc.hint) from exc

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
            self.files.sync_folder(self.path.parent)
        except OSError as exc:
            raise SecretKeyError(
                f"the next master key beside {self.path} could not be put in place: {exc.strerror}",
                hint=f"move it there: mv {self.next_path} {self.path}",
            ) from exc
