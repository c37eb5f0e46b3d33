"""How what a program depends on served it: changes of state, and what people were told and answered."""

from dataclasses import dataclass
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import NoticeChoice, ServiceState


class _DegradationPayload(Payload):
    """What belongs to one service of one program."""

    program: str
    service: str

    @property
    def subject(self) -> str:
        """The service, as the program knows it."""
        return f"degradation/{self.program}/{self.service}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationChanged(_DegradationPayload):
    """A service that a program depends on serves it better or worse than before.

    `origin` says who found it: `calls`, `recovery`, `breaker` or `report`. A program that starts
    again goes on from the newest of these.
    """

    kind: ClassVar[str] = "degradation.changed"
    program: str
    service: str
    before: ServiceState
    after: ServiceState
    reason: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationNoticed(_DegradationPayload):
    """People are told that a program works in degraded mode."""

    kind: ClassVar[str] = "degradation.noticed"
    program: str
    service: str
    notice_id: str
    text: str

    @property
    def correlation_id(self) -> str:
        """The notice."""
        return self.notice_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationAnswered(_DegradationPayload):
    """A person chose what to do about a notice; it is done after this is written."""

    kind: ClassVar[str] = "degradation.answered"
    program: str
    service: str
    notice_id: str
    choice: NoticeChoice
    who: str = ""

    @property
    def correlation_id(self) -> str:
        """The notice."""
        return self.notice_id
