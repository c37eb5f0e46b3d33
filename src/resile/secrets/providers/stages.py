"""Which version of a secret is what: the rules of stages, tokens and compare-and-set. Pure.

For providers that keep the stages themselves. A retired version has no value any more, so whatever
becomes retired here has to lose its value in the same transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from resile.core.vocabulary import SecretStage
from resile.errors import SecretConflictError, SecretRevokedError, UnknownSecretError
from resile.secrets.checking import unknown_secret, unknown_version
from resile.secrets.model import Version

VERSIONS_MAX = 100
"""Of one name; the oldest retired ones are forgotten. With a rotation a day, they reach back three
months; the journal has all."""
_AFTER = {
    SecretStage.CURRENT: SecretStage.PREVIOUS,
    SecretStage.PREVIOUS: SecretStage.RETIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All versions of one name.

    Args:
        name: The secret.
        last: The highest number that was ever given, so that none is given twice.
        versions: The newest first; their numbers are whole numbers from 1 on.
    """

    name: str
    last: int = 0
    versions: tuple[Version, ...] = ()

    def at(self, stage: SecretStage) -> Version | None:
        """Give the version of a stage; None if none has it. Many may be retired: the newest of them."""
        return next((one for one in self.versions if one.stage is stage), None)

    def of_token(self, token: str) -> Version | None:
        """Give the version that was written with a token; None if there is none."""
        return next((one for one in self.versions if one.token == token), None)

    def find(self, version: str) -> Version:
        """Give a version by its stage or its number; a retired one, too.

        Raises:
            UnknownSecretError: If there is no such name or version.
            SecretRevokedError: If nothing has this stage any more, because it was destroyed.
        """
        if not self.versions:
            raise unknown_secret(self.name)
        stage = _STAGES.get(version)
        found = self.at(stage) if stage else None
        if found is None:
            found = next((one for one in self.versions if one.number == version), None)
        if found is not None:
            return found
        if stage in (SecretStage.CURRENT, SecretStage.PREVIOUS) and self.at(SecretStage.RETIRED):
            raise revoked(self.name, version)
        raise unknown_version(self.name, version)


_STAGES = {stage.value: stage for stage in SecretStage if stage is not SecretStage.RETIRED}


def written(
    shelf: Shelf,
    *,
    stage: SecretStage,
    expect: str | None,
    token: str,
    at: datetime,
    has_value: Callable[[Version], bool],
) -> tuple[Shelf, Version]:
    """Write a version; the same shelf again if its token has done that before.

    Args:
        shelf: What there is.
        stage: CURRENT or PENDING.
        expect: The number that must be current, "" for none; None: whatever is.
        token: Of this write.
        at: Now.
        has_value: Tells whether a version holds the value that is written; asked at most once.

    Raises:
        SecretConflictError: If another version is current, another candidate stands there, or the
            token has written another value.
    """
    known = shelf.of_token(token)
    if known is not None:
        is_candidate = known.stage is SecretStage.PENDING
        is_repeated = not is_candidate or stage is SecretStage.PENDING
        # A retired one has no value to compare; nobody can use it, so nothing is lost by that.
        if is_repeated and (known.stage is SecretStage.RETIRED or has_value(known)):
            return shelf, known
        if not (is_repeated and is_candidate):
            raise _conflict(shelf, "was written with this token before, as something else")
        shelf = _without(shelf, known)
    elif stage is SecretStage.PENDING and shelf.at(SecretStage.PENDING):
        raise _conflict(shelf, "has a candidate of somebody else")
    _expect(shelf, expect)
    new = Version(number=str(shelf.last + 1), stage=stage, created_at=at, token=token)
    if stage is SecretStage.CURRENT:
        shelf = _moved_on(shelf)
    shelf = replace(shelf, last=shelf.last + 1, versions=(new, *shelf.versions))
    return _trimmed(shelf), new


def promoted(shelf: Shelf, *, token: str, expect: str | None) -> tuple[Shelf, Version]:
    """Make the candidate of a token the current version; the same shelf again if it was done before.

    Raises:
        UnknownSecretError: If there is no such candidate, and never was one that was promoted.
        SecretConflictError: If another version than expected is current.
    """
    known = shelf.of_token(token)
    if known is None:
        raise UnknownSecretError(
            f"secret {shelf.name!r} has no candidate of this rotation",
            hint=f"see what it has: resile secrets history {shelf.name}",
        )
    if known.stage is not SecretStage.PENDING:
        return shelf, known
    _expect(shelf, expect)
    now_current = replace(known, stage=SecretStage.CURRENT)
    others = _moved_on(_without(shelf, known))
    versions = sorted((now_current, *others.versions), key=lambda one: -int(one.number))
    return replace(shelf, versions=tuple(versions)), now_current


def discarded(shelf: Shelf, *, token: str) -> Shelf:
    """Take the candidate of a token away as if it had never been; its number is not given again."""
    known = shelf.of_token(token)
    if known is None or known.stage is not SecretStage.PENDING:
        return shelf
    return _without(shelf, known)


def destroyed(shelf: Shelf, version: str) -> Shelf:
    """Retire a version, whatever it is. The same shelf if that was done before.

    A candidate's token is forgotten with it, so that nobody takes it for one that was promoted.

    Raises:
        UnknownSecretError: If there is none.
    """
    try:
        found = shelf.find(version)
    except SecretRevokedError:
        return shelf
    token = "" if found.stage is SecretStage.PENDING else found.token
    gone = replace(found, stage=SecretStage.RETIRED, token=token)
    return replace(shelf, versions=tuple(gone if one is found else one for one in shelf.versions))


def revoked(name: str, version: str) -> SecretRevokedError:
    """Give the error for a version whose value was destroyed."""
    return SecretRevokedError(
        f"version {version} of secret {name!r} was destroyed, and is given to nobody",
        hint=f"put a new one: resile secrets put {name}",
    )


def _expect(shelf: Shelf, expect: str | None) -> None:
    current = shelf.at(SecretStage.CURRENT)
    number = current.number if current else ""
    if expect is not None and number != expect:
        raise _conflict(
            shelf, f"has the current version {number or 'none'}, not {expect or 'none'}"
        )


def _conflict(shelf: Shelf, what: str) -> SecretConflictError:
    return SecretConflictError(
        f"secret {shelf.name!r} {what}; nothing was written",
        hint=f"see what it has: resile secrets history {shelf.name}",
    )


def _without(shelf: Shelf, gone: Version) -> Shelf:
    return replace(shelf, versions=tuple(one for one in shelf.versions if one is not gone))


def _moved_on(shelf: Shelf) -> Shelf:
    """Make room for a new current version: what is current becomes previous, what was that retired."""
    moved = (replace(one, stage=_AFTER.get(one.stage, one.stage)) for one in shelf.versions)
    return replace(shelf, versions=tuple(moved))


def _trimmed(shelf: Shelf) -> Shelf:
    """Forget the oldest retired versions of more than are kept."""
    spare = len(shelf.versions) - VERSIONS_MAX
    retired = [one for one in shelf.versions if one.stage is SecretStage.RETIRED]
    forgotten = retired[-spare:] if spare > 0 else []
    return replace(shelf, versions=tuple(one for one in shelf.versions if one not in forgotten))
