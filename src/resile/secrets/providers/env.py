"""The provider `env`: secrets in the variables of this process, for reading only."""

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SecretStage
from resile.secrets.checking import need_name, need_value, only_version, unknown_secret
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.value import Secret

_NO_LETTER = re.compile(r"[^A-Z0-9_]")
_NUMBER_DIGITS = 12


class EnvProvider:
    """Secrets in variables: `db/password` is PREFIX and `DB_PASSWORD`. Safe to share between threads.

    Every process that this user runs may look into them (`/proc/PID/environ`), so this is for development and for
    platforms that give secrets no other way.

    Args:
        environ: The variables, looked at anew each time.
        prefix: What their names begin with.
    """

    kind: Final = "env"
    abilities: Final = Abilities(has_versions=False, can_write=False)

    def __init__(self, environ: Mapping[str, str], *, prefix: str = "") -> None:
        self._environ = environ
        self._prefix = prefix
        self._number_key = os.urandom(32)

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: Path | None,  # noqa: ARG003 - it keeps nothing
        environ: Mapping[str, str],
        clock: Clock = SYSTEM_CLOCK,  # noqa: ARG003 - nor does it wait
    ) -> Self:
        """Open what the table `[secrets]` says."""
        return cls(environ, prefix=str(settings.get("prefix", "")))

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
        """Number a version by its value, with a key of this process: the number tells nothing of it."""
        return hmac.digest(self._number_key, value, "sha256").hex()[:_NUMBER_DIGITS]
