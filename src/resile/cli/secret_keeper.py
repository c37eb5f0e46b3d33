"""The keeper of a system's secrets, as `resile secrets` asks it over its socket."""

from collections.abc import Sequence
from pathlib import Path

from resile.cli.secret_desk import PROGRAM, Facts
from resile.core.vocabulary import RotationReason
from resile.secrets import CURRENT_VERSION, Secret, Version
from resile.secrets.providers.daemon import DaemonProvider


class KeeperDesk:
    """Implements `Desk`.

    Args:
        keeper: The line to it.
    """

    goes_on = True

    def __init__(self, keeper: DaemonProvider) -> None:
        self._keeper = keeper

    @classmethod
    def open(cls, state: Path) -> "KeeperDesk":
        """Give the keeper of a state folder; nothing is asked yet."""
        return cls(DaemonProvider.open(state, program=PROGRAM))

    def read(self, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Give a version."""
        return self._keeper.read(name, version=version)

    def names(self) -> tuple[str, ...]:
        """Give all names."""
        return self._keeper.names()

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions."""
        return self._keeper.history(name)

    def put(self, name: str, value: bytes, *, expect: str | None) -> Version:
        """Write a new current version."""
        return self._keeper.put(name, value, expect=expect)

    def rollback(self, name: str) -> Version:
        """Write the previous value as a new version."""
        return self._keeper.rollback(name)

    def revoke(self, name: str, version: str, *, why: str) -> None:
        """Destroy a version."""
        self._keeper.withdraw(name, version, why=why)

    def rotate(self, name: str, *, reason: RotationReason, why: str, is_dry: bool) -> Facts:
        """Rotate, and give the report."""
        report: Facts = self._keeper.rotate(name, reason=reason, why=why, is_dry=is_dry)["rotation"]
        return report

    def rotations(self) -> Facts:
        """Give the rotations."""
        return self._keeper.rotations()

    def rekey(self) -> int:
        """Seal all values with a new master key."""
        return int(self._keeper.rekey()["versions"])

    def findings(self) -> Sequence[Facts]:
        """Give what is not as it should be."""
        found: Sequence[Facts] = self._keeper.doctor()["findings"]
        return found

    def overview(self) -> Facts:
        """Give how all secrets stand."""
        return self._keeper.overview()

    def quarantine(self, client: str, *, why: str) -> None:
        """Give nothing to a client any more."""
        self._keeper.quarantine(client, why=why)

    def release(self, client: str) -> None:
        """Give a client its secrets again."""
        self._keeper.release(client)

    def close(self) -> None:
        """Hang up."""
        self._keeper.close()
