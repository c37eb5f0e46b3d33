"""A secret's value in a wrapper that shows itself to nobody by accident."""

import contextlib
import hmac
import json
from datetime import datetime
from typing import Any, NoReturn

from resile.core.vocabulary import SecretStage
from resile.errors import SecretError

HIDDEN = "********"


class Secret:
    """One version of a secret. Immutable, but for `wipe`. Safe to share between threads.

    It overwrites its value when the last one who holds it lets go of it.

    Its value is in no repr, no text, no format, no pickle and no copy: only `reveal`, `reveal_bytes` and
    `field` give it. Read it anew for each use (`resile.secret(name)` costs less than a microsecond from the
    cache), and it is the current one.

    Args:
        name: What it is called, such as `db/password`.
        version: As the provider numbers it.
        value: The bytes of it.
        stage: What this version was to the name when it was read.
        created_at: When it was written; None if the provider does not say. Aware, UTC.
        lease_id: What a dynamic secret lives by; empty if it has no lease.
        lease_s: How long from the reading on it is valid at least; 0 if it has no end that is known.
    """

    __slots__ = (
        "__weakref__",
        "_value",
        "created_at",
        "lease_id",
        "lease_s",
        "name",
        "stage",
        "version",
    )

    def __init__(
        self,
        name: str,
        version: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        created_at: datetime | None = None,
        lease_id: str = "",
        lease_s: float = 0.0,
    ) -> None:
        self.name = name
        self.version = version
        self.stage = stage
        self.created_at = created_at
        self.lease_id = lease_id
        self.lease_s = lease_s
        self._value = bytearray(value)

    def reveal(self) -> str:
        """Give the value as text.

        Raises:
            SecretError: If it is not text in UTF-8.
        """
        # Raised after the error of the codec is gone, as that one holds the bytes.
        text = _text_of(self._value)
        if text is None:
            raise SecretError(
                f"secret {self.name!r} is not text", hint="take its bytes: reveal_bytes()"
            )
        return text

    def reveal_bytes(self) -> bytes:
        """Give the value as bytes."""
        return bytes(self._value)

    def field(self, key: str) -> str:
        """Give one field of a value that is a JSON object, such as `password` of a credential.

        Raises:
            SecretError: If the value is no JSON object, or has no such field.
        """
        found = self.fields().get(key)
        if found is None:
            raise self._without(key)
        return found

    def fields(self) -> dict[str, str]:
        """Give all fields of a value that is a JSON object; what is no text is given as JSON.

        Raises:
            SecretError: If the value is none.
        """
        found = _object_of(self._value)
        if found is None:
            raise SecretError(
                f"secret {self.name!r} is no JSON object, and has no fields",
                hint="take it whole: reveal()",
            )
        return found

    def wipe(self) -> None:
        """Overwrite the value in memory, as well as Python can: what was revealed has copies."""
        self._value[:] = bytes(len(self._value))

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):  # It was never made; the process ends.
            self.wipe()

    def __repr__(self) -> str:
        return f"<Secret {self.name!r} version {self.version!r}>"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        """Compare values, in a time that does not depend on where they differ."""
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __bool__(self) -> bool:
        return len(self._value) > 0

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"secret {self.name!r} is not pickled, nor copied; read it where it is used"
        )

    def _without(self, key: str) -> SecretError:
        """Give the error, in a frame that no traceback keeps: it holds the fields."""
        return SecretError(
            f"secret {self.name!r} has no field {key!r}",
            hint="it has " + (", ".join(sorted(self.fields())) or "none"),
        )


def _text_of(value: bytearray) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _object_of(value: bytearray) -> dict[str, str] | None:
    try:
        data: Any = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in data.items()}
