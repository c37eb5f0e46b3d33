"""One secret at AWS: its versions are put, and labels move between them by compare-and-set."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from resile.clients.aws import (
    CURRENT,
    PENDING,
    PREVIOUS,
    SecretsManager,
    StoredValue,
    StoredVersion,
)
from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.errors import SecretConflictError, UnknownSecretError
from resile.secrets.providers.aws_versions import (
    MARKER_VALUE,
    NOTHING_YET,
    WRITING,
    current_number,
    destroyed_number,
    is_marker,
    labelled,
)

logger = logging.getLogger(__name__)

Versions = tuple[StoredVersion, ...]
_LAG_PAUSES_S = (0.1, 0.3, 0.6)
"""AWS may not show what was just written (aws-sdk-js-v3#7701); after these pauses it is believed."""
_RACES_MAX = 4
"""How often somebody else may be quicker before a write without a condition is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsShelf:
    """The versions of one secret. Keeps nothing: each call asks AWS.

    Args:
        name: As resile calls it.
        remote: As AWS calls it.
        secrets: What to call through.
        clock: Measures pauses.
    """

    name: str
    remote: str
    secrets: SecretsManager
    clock: Clock

    def versions(self) -> Versions:
        """List all versions, markers too; none if there is no such secret."""
        try:
            return self.secrets.versions(self.remote)
        except UnknownSecretError:
            return ()

    def settled(self, is_there: Callable[[Versions], bool]) -> Versions:
        """List all versions, and again for a moment while what should be there is not."""
        for pause_s in _LAG_PAUSES_S:
            versions = self.versions()
            if is_there(versions):
                return versions
            self.clock.sleep(pause_s)
        return self.versions()

    def get(self, *, label: str, number: str) -> StoredValue:
        """Read a version by its label or else by its id; a candidate may just have been put."""
        for pause_s in _LAG_PAUSES_S if label == PENDING else ():
            try:
                return self.secrets.get(self.remote, stage=label, number=number)
            except UnknownSecretError:
                self.clock.sleep(pause_s)
        return self.secrets.get(self.remote, stage=label, number=number)

    def create(self, value: bytes, number: str) -> bool:
        """Make the secret with a current version; False if it is there."""
        try:
            self.secrets.create(self.remote, value, number=number)
        except SecretConflictError:
            return False
        return True

    def begin(self) -> None:
        """Make the secret with a marker as its current version; nothing happens if it has one."""
        if not self.create(MARKER_VALUE, NOTHING_YET):
            # There without a version: its first one becomes current by itself.
            self.put(MARKER_VALUE, NOTHING_YET, WRITING)
            self.unlabel(NOTHING_YET, WRITING)

    def put(self, value: bytes, number: str, label: str) -> StoredVersion:
        """Put a version with a label; done before with this value, nothing happens.

        Raises:
            SecretConflictError: If it was put with another value.
        """
        return self.secrets.put(self.remote, value, number=number, stages=(label,))

    def put_current(self, value: bytes, number: str, expect: str | None) -> StoredVersion:
        """Put a version beside the others first, and then make it the current one.

        Raises:
            SecretConflictError: If another version than expected is current.
        """
        made = self.put(value, number, WRITING)
        if CURRENT not in made.stages:
            try:
                made = self.make_current(number, expect)
            except SecretConflictError:
                self.unlabel(number, WRITING)
                raise
        self.unlabel(number, WRITING)
        return made

    def make_current(self, number: str, expect: str | None) -> StoredVersion:
        """Move AWSCURRENT to a version from where it is expected; AWSPREVIOUS follows by itself.

        Raises:
            SecretConflictError: If another version than expected is current.
        """
        for _ in range(_RACES_MAX):
            versions = self.settled(
                lambda found: expect is None or current_number(found) in (expect, number)
            )
            current = labelled(versions, CURRENT)
            if current is None or current.number != number:
                self.expect(versions, expect)
                source = current.number if current else ""
                try:
                    self.secrets.move(self.remote, CURRENT, source=source, target=number)
                except SecretConflictError:
                    # Somebody was quicker; or the answer to a first try was lost, and it is done.
                    continue
            known = (one for one in versions if one.number == number)
            mine = next(known, StoredVersion(number=number, stages=frozenset()))
            return replace(mine, stages=mine.stages - {PREVIOUS} | {CURRENT})
        raise self.conflict("is changed by somebody else all the time", "try again later")

    def take_from_current(self, found: StoredVersion, previous: StoredVersion | None) -> None:
        """Put a marker in the place of the current version, and let what was previous stay so."""
        marker = destroyed_number(found.number)
        self.put(MARKER_VALUE, marker, WRITING)
        self.secrets.move(self.remote, CURRENT, source=found.number, target=marker)
        self.unlabel(marker, WRITING)
        target = "" if previous is None or is_marker(previous.number) else previous.number
        self.secrets.move(self.remote, PREVIOUS, source=found.number, target=target)

    def unlabel(self, number: str, label: str) -> None:
        """Take a label away, if it still is there."""
        try:
            self.secrets.move(self.remote, label, source=number)
        except SecretConflictError:
            fields: dict[str, object] = {"secret": self.name, "label": label}
            logger.debug(log_line("aws.label_gone", fields), extra=fields)

    def expect(self, versions: Versions, expect: str | None) -> None:
        """Refuse if another version than expected is current.

        Args:
            versions: What there is.
            expect: A number, "" for none; None: whatever is.

        Raises:
            SecretConflictError: If so.
        """
        number = current_number(versions)
        if expect is not None and number != expect:
            raise self.conflict(
                f"has the current version {number or 'none'}, not {expect or 'none'}"
            )

    def conflict(self, what: str, hint: str = "") -> SecretConflictError:
        """Give the error for what somebody else did."""
        return SecretConflictError(
            f"secret {self.name!r} {what}; nothing was written",
            hint=hint or f"see what it has: resile secrets history {self.name}",
        )
