"""The provider `env`: secrets in the variables of this process, for reading only."""

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import make_private_dir, write_atomic
from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SecretStage
from resile.errors import OperationError, SecretError
from resile.secrets.checking import need_name, need_value, only_version, unknown_secret
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.value import Secret

_NO_LETTER = re.compile(r"[^A-Z0-9_]")
_NUMBER_DIGITS = 12
_KEY_BYTES = 32
FOLDER_NAME: Final = "secrets"
KEY_NAME: Final = "numbers.key"


class EnvProvider:
    """Secrets in variables: `db/password` is PREFIX and `DB_PASSWORD`. Safe to share between threads.

    Every process that this user runs may look into them (`/proc/PID/environ`), so this is for development and for
    platforms that give secrets no other way.

    Args:
        environ: The variables, looked at anew each time.
        prefix: What their names begin with.
        number_key: What versions are numbered with: a number tells nothing of its value to whoever lacks this.
            Default: one of this process.
    """

    kind: Final = "env"
    abilities: Final = Abilities(has_versions=False, can_write=False)

    def __init__(
        self, environ: Mapping[str, str], *, prefix: str = "", number_key: bytes = b""
    ) -> None:
        self._environ = environ
        self._prefix = prefix
        self._number_key = number_key or os.urandom(_KEY_BYTES)

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: Path | None,
        environ: Mapping[str, str],
        clock: Clock = SYSTEM_CLOCK,  # noqa: ARG003 - it does not wait
    ) -> Self:
        """Open what the table `[secrets]` says.

        Raises:
            SecretError: If the key of a system cannot be kept.
        """
        number_key = b"" if state is None else _kept_key(state / FOLDER_NAME)
        return cls(environ, prefix=str(settings.get("prefix", "")), number_key=number_key)

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give the value of the secret's variable."""
        need_name(name)
        variable = self._prefix + _NO_LETTER.sub("_", name.upper())
        value = os.fsencode(self._environ.get(variable, ""))
        if not value:
            raise unknown_secret(name, hint=f"the variable {variable} is not set, or is empty")
        need_value(name, value)
        there = Version(number=self._number(value), stage=SecretStage.CURRENT)
        only_version(name, version, there)
        return Secret(name, there.number, value)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give the only version that there is."""
        number = self.read(name).version
        return (Version(number=number, stage=SecretStage.CURRENT),)

    def names(self) -> tuple[str, ...]:
        """Give what the variables with the prefix are called without it, in lower case.

        Without a prefix nobody can tell which variables are secrets: then there are none.
        """
        if not self._prefix:
            return ()
        found = (
            variable.removeprefix(self._prefix).lower()
            for variable, value in self._environ.items()
            if variable.startswith(self._prefix) and value
        )
        return tuple(sorted(name for name in found if is_secret_name(name)))

    def check(self) -> None:
        """Do nothing: variables are always there."""

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _number(self, value: bytes) -> str:
        """Number a version by its value, with a key: the number tells nothing of it."""
        return hmac.digest(self._number_key, value, "sha256").hex()[:_NUMBER_DIGITS]


def _kept_key(folder: Path) -> bytes:
    """Give the key of a system; made when there is none.

    With another one in each life, every version would seem new then, and services would be restarted for it.
    """
    path = folder / KEY_NAME
    try:
        if not path.exists():
            make_private_dir(folder)
            write_atomic(path, os.urandom(_KEY_BYTES))
        return path.read_bytes()
    except (OSError, OperationError) as exc:
        raise SecretError(
            f"{path} can be neither read nor made: {exc}", hint="it has to be this user's"
        ) from exc
