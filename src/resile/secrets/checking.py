"""What every provider asks of a name, a value and a token before anything else is done with it."""

from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SecretStage
from resile.errors import SecretError, UnknownSecretError
from resile.secrets.model import CURRENT_VERSION, VALUE_BYTES_MAX, Version

_NAME_LENGTH_SHOWN = 60


def need_name(name: str) -> None:
    """Refuse what cannot be the name of a secret, so that it never becomes a path or a query.

    Raises:
        UnknownSecretError: If it is none.
    """
    if not is_secret_name(name):
        raise UnknownSecretError(
            f"{name[:_NAME_LENGTH_SHOWN]!r} is not the name of a secret",
            hint='a name is like "db/password": letters, digits, _ . - and / between parts',
        )


def need_value(name: str, value: bytes) -> None:
    """Refuse a value that some provider could not keep.

    Raises:
        SecretError: If it is empty, or larger than 64 KiB.
    """
    if not 1 <= len(value) <= VALUE_BYTES_MAX:
        raise SecretError(
            f"the value of {name!r} has {len(value)} bytes; it may have 1 to {VALUE_BYTES_MAX}",
            hint="keep a key here, and what it opens elsewhere",
        )


def need_write(name: str, value: bytes, *, stage: SecretStage, token: str) -> None:
    """Refuse what `write` cannot be asked for.

    Raises:
        UnknownSecretError: If the name is none.
        SecretError: If the value is empty or too large.
        AssertionError: If the caller gave another stage, or no token.
    """
    need_name(name)
    need_value(name, value)
    if stage not in (SecretStage.CURRENT, SecretStage.PENDING) or not token:
        raise AssertionError(f"{name} cannot be written as {stage} with the token {token!r}")


def only_version(name: str, version: str, there: Version) -> None:
    """Refuse any version but the one that a provider without versions has.

    Raises:
        UnknownSecretError: If it is another one.
    """
    if version not in (CURRENT_VERSION, there.number):
        raise unknown_version(name, version)


def unknown_secret(name: str, *, hint: str = "") -> UnknownSecretError:
    """Give the error for a name that is not there."""
    return UnknownSecretError(
        f"there is no secret {name!r}", hint=hint or "see which there are: resile secrets list"
    )


def unknown_version(name: str, version: str) -> UnknownSecretError:
    """Give the error for a version that a name does not have."""
    return UnknownSecretError(
        f"secret {name!r} has no version {version!r}",
        hint=f"see which it has: resile secrets history {name}",
    )
