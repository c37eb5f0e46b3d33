"""What a rotation does outside of its book. Each effect may be cut anywhere, and is made again then."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from resile.core.vocabulary import RotationStep, SecretStage
from resile.errors import SecretConflictError, SecretRevokedError, UnknownSecretError
from resile.secrets.model import CURRENT_VERSION, Turn, Version
from resile.secrets.port import Consumers, Provider, Rotator, WritableProvider
from resile.secrets.rotation.decide import TRIES_MAX, Effect, stepped
from resile.secrets.rotation.model import Phase, Record
from resile.secrets.value import Secret

Change = Callable[[Record, datetime, float], Record]
"""Gives the record after an effect, from the one that is there then, and the time."""

_PENDING: Final = SecretStage.PENDING.value
_BACK: Final = ".back"
"""Ends the token by which an old value is written again."""


def history_of(provider: Provider, name: str) -> tuple[Version, ...]:
    """Give the versions of a secret; none if it is not there yet."""
    try:
        return provider.history(name)
    except UnknownSecretError:
        return ()


def perform(
    effect: Effect,
    record: Record,
    *,
    provider: WritableProvider,
    rotator: Rotator,
    consumers: Consumers,
) -> Change:
    """Do one thing. Blocks as long as the provider or the target takes.

    Raises:
        Exception: Whatever the provider or the rotator raises.
    """
    work = _Effects(record, provider, rotator, consumers)
    return _WORK[effect](work)


class _Effects:
    def __init__(
        self, record: Record, provider: WritableProvider, rotator: Rotator, consumers: Consumers
    ) -> None:
        self._record = record
        self._provider = provider
        self._rotator = rotator
        self._consumers = consumers

    def prepare(self) -> Change:
        number = self._candidate() or self._write_candidate()
        return lambda fresh, at, now_s: stepped(
            replace(fresh, after=number), RotationStep.PREPARED, at=at, now_s=now_s
        )

    def set(self) -> Change:
        self._rotator.set(self._turn())
        return _reaches(RotationStep.SET)

    def verify(self) -> Change:
        self._rotator.verify(self._turn())
        return _reaches(RotationStep.VERIFIED)

    def promote(self) -> Change:
        number = self._promoted()
        return lambda fresh, at, now_s: stepped(
            replace(fresh, after=number, told_s=None), RotationStep.PROMOTED, at=at, now_s=now_s
        )

    def tell(self) -> Change:
        self._consumers.tell(self._record.name, self._record.number)
        return lambda fresh, _, now_s: replace(fresh, told_s=now_s)

    def retire(self) -> Change:
        turn = self._turn()
        restored = self._put_back(turn)
        if restored:
            return lambda fresh, _, __: replace(
                _returning(fresh, restored), ended_why="the old value was put back by hand"
            )
        self._revoke(self._record.before)
        self._rotator.retire(turn)
        self._destroy(self._record.before)
        return _reaches(RotationStep.RETIRED)

    def take_back(self) -> Change:
        number = self._found_promoted()
        if number:
            return lambda fresh, at, now_s: _promoted_after_all(fresh, number, at, now_s)
        try:
            self._rotator.abort(self._turn())
        except Exception:
            if self._record.tries + 1 >= TRIES_MAX:
                self._discard()  # What the target may still take, nobody knows any more.
            raise
        self._discard()
        return _is_gone

    def restore(self) -> Change:
        number = self._restored()
        if not number:
            return lambda fresh, _, __: _leaving(fresh)
        return lambda fresh, _, __: _returning(fresh, number)

    def leave(self) -> Change:
        self._revoke(self._record.after)
        self._rotator.abort(self._turn())
        self._destroy(self._record.after)
        return _is_gone

    def _discard(self) -> None:
        self._provider.discard(self._record.name, token=self._record.rotation_id)

    # Parts of them ------------------------------------------------------------------------------

    def _candidate(self) -> str:
        """Give the number of the candidate if it was written already, before we were cut."""
        for version in history_of(self._provider, self._record.name):
            if version.stage is SecretStage.PENDING and version.token == self._record.rotation_id:
                return version.number
        return ""

    def _write_candidate(self) -> str:
        record = self._record
        value = self._rotator.prepare(self._turn())
        return self._provider.write(
            record.name,
            value,
            stage=SecretStage.PENDING,
            expect=record.before,
            token=record.rotation_id,
        ).number

    def _promoted(self) -> str:
        record = self._record
        try:
            return self._provider.promote(
                record.name, token=record.rotation_id, expect=record.before
            ).number
        except SecretConflictError:
            number = self._found_promoted()
            if not number:
                raise
            return number  # Somebody has put another one since.

    def _found_promoted(self) -> str:
        """Give the number of the candidate if it was promoted before we were cut; empty if not."""
        for version in history_of(self._provider, self._record.name):
            is_ours = version.token == self._record.rotation_id
            if is_ours and version.stage is not SecretStage.PENDING:
                return version.number
        return ""

    def _restored(self) -> str:
        """Give the number of the version that consumers go back to; empty if the old value is gone, too."""
        record = self._record
        current = self._read(CURRENT_VERSION)
        if current is not None and current.version != record.after:
            # It was written before we were cut; or somebody has put another one: consumers go to that.
            return current.version
        old = self._read(record.before)
        if old is None:
            return ""
        return self._provider.write(
            record.name,
            old.reveal_bytes(),
            expect="" if current is None else record.after,
            token=record.rotation_id + _BACK,
        ).number

    def _put_back(self, turn: Turn) -> str:
        """Tell which version has the old value again, if somebody put it back: it must not die then."""
        current = self._read(CURRENT_VERSION)  # Somebody may have revoked it.
        if current is None or current != turn.before or current.version == self._record.after:
            return ""
        return current.version

    def _revoke(self, number: str) -> None:
        if number:  # An empty one would mean all of them.
            self._consumers.revoke(self._record.name, number)

    def _destroy(self, number: str) -> None:
        if not number:
            return
        try:
            self._provider.destroy(self._record.name, number)
        except UnknownSecretError:
            return  # The provider keeps fewer versions than there were: it is gone.

    def _turn(self) -> Turn:
        record = self._record
        return Turn(
            rotation_id=record.rotation_id,
            name=record.name,
            reason=record.reason,
            before=self._read(record.restored or record.before),
            after=self._after(),
        )

    def _after(self) -> Secret | None:
        """Give the candidate, or what it became; it must be there until it is promoted."""
        record = self._record
        was_promoted = any(one.step is RotationStep.PROMOTED for one in record.reached)
        if not record.after:
            return None
        found = self._read(record.after if was_promoted else _PENDING)
        is_ours = found is not None and found.version == record.after
        if not is_ours and not was_promoted and record.phase is Phase.FORWARD:
            raise SecretConflictError(
                f"version {record.after} of {record.name}, which this rotation made, is gone",
                hint="somebody else has removed or replaced it: see resile secrets history",
            )
        return found if is_ours else None

    def _read(self, version: str) -> Secret | None:
        if not version:
            return None
        try:
            return self._provider.read(self._record.name, version=version)
        except (UnknownSecretError, SecretRevokedError):
            return None


def _reaches(step: RotationStep) -> Change:
    return lambda fresh, at, now_s: stepped(fresh, step, at=at, now_s=now_s)


def _returning(fresh: Record, restored: str) -> Record:
    return replace(
        fresh,
        phase=Phase.RETURNING,
        restored=restored,
        told_s=None,
        tries=0,
        trouble="",
        retry_s=0.0,
    )


def _leaving(fresh: Record) -> Record:
    return replace(fresh, phase=Phase.LEAVING, tries=0, trouble="", retry_s=0.0)


def _promoted_after_all(fresh: Record, number: str, at: datetime, now_s: float) -> Record:
    """Go back as far as a rotation does whose candidate is current: what aborts it rolls it back."""
    forward = replace(
        fresh,
        phase=Phase.FORWARD,
        after=number,
        told_s=None,
        unwanted=fresh.ended_why,
        ended_why="",
    )
    return stepped(forward, RotationStep.PROMOTED, at=at, now_s=now_s)


def _is_gone(fresh: Record, _: datetime, __: float) -> Record:
    return replace(fresh, phase=Phase.GONE, trouble="")


_WORK: Final[dict[Effect, Callable[[_Effects], Change]]] = {
    Effect.PREPARE: _Effects.prepare,
    Effect.SET: _Effects.set,
    Effect.VERIFY: _Effects.verify,
    Effect.PROMOTE: _Effects.promote,
    Effect.TELL: _Effects.tell,
    Effect.RETIRE: _Effects.retire,
    Effect.TAKE_BACK: _Effects.take_back,
    Effect.RESTORE: _Effects.restore,
    Effect.LEAVE: _Effects.leave,
}
