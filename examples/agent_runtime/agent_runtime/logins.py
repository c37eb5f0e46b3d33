"""Who may log in at the policy database: a file of its own, with a salted hash for each password.

The database reads it at each login; whoever may write it is the administrator.
"""

import hmac
import json
import os
import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

SALT_BYTES = 16


class Logins:
    """The users, and the hashes of their passwords. Safe to share between threads and processes.

    Args:
        path: The file. Without it, nobody may log in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def admit(self, user: str, password: str) -> bool:
        """Tell whether this is a user, with their password.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is damaged.
        """
        known = self._read().get(user)
        if known is None:
            return False
        salt, kept = map(bytes.fromhex, known)
        return hmac.compare_digest(kept, _hash(password, salt))

    def set(self, user: str, password: str) -> None:
        """Let a user in with this password, and no other. Durable when it returns. Idempotent."""
        salt = secrets.token_bytes(SALT_BYTES)
        self._write({**self._read(), user: [salt.hex(), _hash(password, salt).hex()]})

    def remove(self, user: str) -> None:
        """Let a user in no more. Durable when it returns. Idempotent."""
        self._write({name: known for name, known in self._read().items() if name != user})

    def _read(self) -> dict[str, list[str]]:
        with suppress(FileNotFoundError):
            found: dict[str, list[str]] = json.loads(self._path.read_text())
            return found
        return {}

    def _write(self, logins: dict[str, list[str]]) -> None:
        """Exchange the file for another one; whoever reads it finds the one or the other, whole."""
        aside = self._path.with_suffix(".new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)  # What somebody left who was killed.
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(logins, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _hash(password: str, salt: bytes) -> bytes:
    """Hash once: a password of 256 random bits is not found by guessing, however quick that is."""
    return blake2b(password.encode("utf-8", "surrogatepass"), salt=salt).digest()
