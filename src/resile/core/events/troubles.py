"""What is wrong with stores, folders and secrets, or is going to be wrong, as the daemon tells it: no plan recovers it, incidents tell it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import FaultKind, Priority


class _TroublePayload(Payload):
    """What belongs to one trouble."""

    trouble_id: str
    target: str

    @property
    def subject(self) -> str:
        """What is in trouble."""
        return self.target

    @property
    def correlation_id(self) -> str:
        """The trouble."""
        return self.trouble_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleNoticed(_TroublePayload):
    """The daemon read that something is wrong with a store, a folder that it keeps or secrets, or soon will be.

    `target` is `store/PLACE`, `folder/PATH`, `secret/NAME`, `client/NAME` or `secrets`; or what a prediction is of. `read_seq` is how far the journal had been read.
    """

    kind: ClassVar[str] = "trouble.noticed"
    trouble_id: str
    fault: FaultKind
    target: str
    priority: Priority
    began_at: datetime
    reason: str
    read_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleEnded(_TroublePayload):
    """It is well again."""

    kind: ClassVar[str] = "trouble.ended"
    trouble_id: str
    target: str
    ended_at: datetime
    reason: str = ""
    read_seq: int = 0
