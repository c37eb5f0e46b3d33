"""Secrets that are taken away: destroyed, rotated at an unexpected moment, or not given to a service.

The secretkeeper does it, as an operator would have it do. No value is read, and none is in a record.
"""

import contextlib
from collections.abc import Iterator
from typing import ClassVar, Final

from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import service_of
from resile.clients.secrets_line import SOCKET_NAME
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import (
    ConfigError,
    OperationError,
    ProviderDownError,
    RejectedError,
    ResileError,
    SecretError,
)
from resile.secrets.providers.daemon import DaemonProvider

_PREFIX: Final = "secret/"
_PROGRAM: Final = "resile-chaos"
_ROTATION_S: Final = 1.0
"""A rotation that takes longer goes on by itself; whoever undoes the fault looks again."""


class _Kept(LastingFault):
    """What the keeper of secrets does."""

    privilege: ClassVar[Privilege] = Privilege.DAEMON

    def obstacle(self, host: Host) -> str:
        """Tell whether a keeper answers."""
        if not (host.state / "run" / SOCKET_NAME).exists():
            return "no daemon keeps secrets here"
        try:
            with _keeper(host) as keeper:
                keeper.check()
        except ResileError as exc:
            return exc.message
        return ""


class Revoked(_Kept):
    """The current version is destroyed, and there is no other."""

    name = "secret.revoke"
    text = "destroy the current version of a secret"
    target: ClassVar[TargetKind] = TargetKind.SECRET

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the version, and see that something can make another one."""
        return _current(wish.target, host)

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Have it destroyed."""
        if _is_current(record, host):
            with _keeper(host) as keeper:
                why = f"on purpose: {record.fault_id}"
                keeper.withdraw(record.facts["name"], record.facts["version"], why=why)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether there is none."""
        number = _current_number(record.facts["name"], host)
        return Proof(holds=not number, detail=_which(number))

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Have another one made, unless there is one."""
        if not _current_number(record.facts["name"], host):
            _rotate(record, host, RotationReason.MANUAL)

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether there is a current version."""
        number = _current_number(record.facts["name"], host)
        return Proof(holds=bool(number), detail=_which(number))


class Expired(_Kept):
    """The secret is rotated now, whoever uses it."""

    name = "secret.expire"
    text = "rotate a secret at once, as if its time were over"
    target: ClassVar[TargetKind] = TargetKind.SECRET
    is_momentary: ClassVar[bool] = True

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the version."""
        return _current(wish.target, host)

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Have it rotated; once."""
        if _is_current(record, host):
            _rotate(record, host, RotationReason.SCHEDULED)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether another version is current."""
        number = _current_number(record.facts["name"], host)
        is_other = number not in ("", record.facts["version"])
        return Proof(holds=is_other, detail=_which(number))

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Do nothing: the new version works."""

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Nothing of ours is left."""
        return Proof(holds=True, detail="it was over at once")


class Denied(_Kept):
    """A service is given no secret any more."""

    name = "secret.deny"
    text = "give a service no secrets: it is in quarantine"
    target: ClassVar[TargetKind] = TargetKind.SERVICE

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the service, which may not be in quarantine already."""
        service_of(wish.target, host)
        if _is_denied(wish.target, host):
            raise RejectedError(
                f"{wish.target} gets no secrets already",
                hint=f"when that is settled: resile secrets release {wish.target}",
            )
        return {"client": wish.target}

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Have it so."""
        with _keeper(host) as keeper:
            keeper.quarantine(record.facts["client"], why=f"on purpose: {record.fault_id}")

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is so."""
        is_denied = _is_denied(record.facts["client"], host)
        return Proof(holds=is_denied, detail=_WORDS[is_denied])

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Have it given secrets again, unless it is."""
        if _is_denied(record.facts["client"], host):
            with _keeper(host) as keeper:
                keeper.release(record.facts["client"])

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is given secrets."""
        is_denied = _is_denied(record.facts["client"], host)
        return Proof(holds=not is_denied, detail=_WORDS[is_denied])


_WORDS: Final = {True: "it is given no secrets", False: "it is given its secrets"}


@contextlib.contextmanager
def _keeper(host: Host) -> Iterator[DaemonProvider]:
    """Open a line to the keeper for a question or two; what fails is an error of an operation."""
    with contextlib.closing(
        DaemonProvider.open(host.state, program=_PROGRAM, clock=host.clock)
    ) as keeper:
        try:
            yield keeper
        except SecretError as exc:
            raise OperationError(exc.message, hint=exc.hint) from exc


def _current(target: str, host: Host) -> Facts:
    """Find the secret that a target names.

    Raises:
        ConfigError: If it names none.
        RejectedError: If nothing can make a new value of it, or something is about to.
    """
    name = target.removeprefix(_PREFIX)
    with _keeper(host) as keeper:
        rows = {row["name"]: row for row in keeper.overview()["secrets"]}
    if not target.startswith(_PREFIX) or name not in rows:
        known = ", ".join(sorted(rows)) or "none"
        raise ConfigError(
            f"there is no secret {name!r}", hint=f"write secret/NAME; there is {known}"
        )
    row = rows[name]
    if not row["rotator"]:
        raise RejectedError(
            f"nothing makes a new value of {name}, and none can be brought back",
            hint="give it a rotator, or name another",
        )
    number = _current_number(name, host)
    if not number or row["rotation"] is not None:
        raise RejectedError(f"{name} is being rotated", hint="wait until that has ended")
    return {"name": name, "version": number}


def _current_number(name: str, host: Host) -> str:
    """Tell which version is current; empty if none is."""
    with _keeper(host) as keeper:
        found = keeper.history(name)
    return next((one.number for one in found if one.stage is SecretStage.CURRENT), "")


def _which(number: str) -> str:
    return f"version {number} is current" if number else "there is no current version"


def _is_current(record: UndoRecord, host: Host) -> bool:
    return _current_number(record.facts["name"], host) == str(record.facts["version"])


def _rotate(record: UndoRecord, host: Host, reason: RotationReason) -> None:
    """Begin a rotation; one that is open already goes on, as does one that takes long."""
    with _keeper(host) as keeper, contextlib.suppress(ProviderDownError):
        keeper.rotate(
            record.facts["name"],
            reason=reason,
            why=f"on purpose: {record.fault_id}",
            timeout_s=_ROTATION_S,
        )


def _is_denied(client: str, host: Host) -> bool:
    with _keeper(host) as keeper:
        cut = {str(one["client"]) for one in keeper.overview()["quarantined"]}
    return client in cut
