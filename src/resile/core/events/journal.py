"""What the journal says of itself."""

from dataclasses import dataclass
from typing import ClassVar

from resile.core.events.envelope import Payload


class _JournalPayload(Payload):
    """What the journal says of itself."""

    @property
    def subject(self) -> str:
        """The journal."""
        return "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSealed(_JournalPayload):
    """A segment of the journal was closed; this is the first record of the next one.

    `file_sha256` is of the whole closed file, so that a change anywhere in it is seen.
    """

    kind: ClassVar[str] = "journal.sealed"
    first_seq: int
    last_seq: int
    head_hash: str
    file_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPruned(_JournalPayload):
    """The records up to `through_seq` are removed, as the limits say: the chain starts behind it."""

    kind: ClassVar[str] = "journal.pruned"
    through_seq: int
    head_hash: str
