"""What providers of secrets, rotators, and whoever knows the consumers must be able to do."""

from typing import Protocol, runtime_checkable

from resile.core.vocabulary import SecretStage
from resile.secrets.model import CURRENT_VERSION, Abilities, Consumer, Turn, Version
from resile.secrets.value import Secret


class Provider(Protocol):
    """Keeps secrets. Safe to share between threads. Every call is bounded in time.

    Errors are of the tree of `SecretError`: `UnknownSecretError`, `SecretDeniedError`, `SecretRevokedError`,
    `SecretDamagedError`, and `ProviderDownError` for what may succeed later. None holds a value.
    """

    @property
    def kind(self) -> str:
        """What it is called in `resile.toml`: `local`, `vault`, `aws`, `env`, `file`."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version: `current`, `previous`, `pending`, or a number of `history`. Idempotent.

        Raises:
            UnknownSecretError: If there is none.
            SecretRevokedError: If its value was destroyed.
        """
        ...

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions that are known, the newest first.

        Raises:
            UnknownSecretError: If there is no such name.
        """
        ...

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted; a provider with very many may give the first 10,000."""
        ...

    def check(self) -> None:
        """Ask whether it works now.

        Raises:
            SecretError: What is wrong, with a hint.
        """
        ...

    def close(self) -> None:
        """Let go of connections and keys. Idempotent."""
        ...


@runtime_checkable
class WritableProvider(Provider, Protocol):
    """One that takes new values, too. Writes are durable when they return, and atomic."""

    def write(
        self,
        name: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        expect: str | None = None,
        token: str,
    ) -> Version:
        """Write a new version: as the current one, or as the candidate (`pending`).

        What was current becomes `previous`, and what was previous `retired`. A candidate takes the place of
        another one of the same token; one of another token is a conflict.

        Args:
            name: The secret.
            value: Its bytes; 1 to 64 KiB.
            stage: CURRENT or PENDING.
            expect: The number that must be current, "" for none at all; None: whatever is.
            token: Makes it idempotent: the same token and value again give the same version.

        Raises:
            SecretConflictError: If another one is current, or another candidate stands there.
        """
        ...

    def promote(self, name: str, *, token: str, expect: str | None) -> Version:
        """Make the candidate of this token the current version, by compare-and-set. Idempotent.

        Returns:
            The version that is current now; its number may differ from the candidate's.

        Raises:
            UnknownSecretError: If there is no such candidate, and it was never promoted.
            SecretConflictError: If another version than `expect` is current.
        """
        ...

    def discard(self, name: str, *, token: str) -> None:
        """Destroy the candidate of this token. Idempotent; nothing happens if there is none."""
        ...

    def destroy(self, name: str, version: str) -> None:
        """Destroy the value of a version for good; it stays in the history as retired. Idempotent.

        Raises:
            UnknownSecretError: If there is no such version.
        """
        ...


@runtime_checkable
class LeasingProvider(Provider, Protocol):
    """One whose secrets may live by a lease. An answer about a lease is never cached."""

    def renew(self, lease_id: str, *, for_s: float) -> float:
        """Ask for more time; give the seconds from now that were granted.

        Raises:
            SecretRevokedError: If the lease has ended, or cannot be renewed any more.
        """
        ...

    def revoke(self, lease_id: str) -> None:
        """End a lease: what it gave opens nothing any more. Idempotent."""
        ...


class Rotator(Protocol):
    """Changes a credential where it is used. Each call is idempotent for one `rotation_id`.

    Any call may be cut at any place and is made again then. A failure is an `OperationError`; a transient
    one is tried again, three times in all.
    """

    @property
    def kind(self) -> str:
        """What it is called in `resile.toml`."""
        ...

    @property
    def has_overlap(self) -> bool:
        """Whether the old and the new credential work side by side from `set` until `retire`."""
        ...

    def prepare(self, turn: Turn) -> bytes:
        """Make the candidate's value. What it makes outside must be found or undone when called again."""
        ...

    def set(self, turn: Turn) -> None:
        """Let the target take the candidate, beside the one before it."""
        ...

    def verify(self, turn: Turn) -> None:
        """Use the candidate as its consumers will.

        Raises:
            OperationError: If it does not work.
        """
        ...

    def retire(self, turn: Turn) -> None:
        """Let the one before it open nothing any more, its open sessions included."""
        ...

    def abort(self, turn: Turn) -> None:
        """Take back what was made for the candidate; the one before it is untouched."""
        ...


class Consumers(Protocol):
    """Knows who uses a secret. Safe to share between threads."""

    def holding(self, name: str) -> tuple[Consumer, ...]:
        """Give those that use it, with what they acknowledged."""
        ...

    def tell(self, name: str, version: str) -> None:
        """Tell all of them that this version is current now. Does not wait."""
        ...

    def revoke(self, name: str, version: str) -> None:
        """Tell all of them that this version must not be used any more. Does not wait."""
        ...
