"""The story of switches: which part was switched off, until when and why, and the emergency stop."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import Part


class _SwitchPayload(Payload):
    """What belongs to one switch."""

    part: Part
    name: str

    @property
    def subject(self) -> str:
        """The part; a playbook by its name."""
        return f"{self.part}/{self.name}" if self.name else f"part/{self.part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSet(_SwitchPayload):
    """A part was switched off or on by a person.

    `name` is that of a playbook, else empty. Off, it ends by itself at `until`.
    """

    kind: ClassVar[str] = "switch.set"
    part: Part
    is_on: bool
    name: str = ""
    until: datetime | None = None
    why: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchEnded(_SwitchPayload):
    """A part is on again, because the time for which it was off is over. `why` is why it was off."""

    kind: ClassVar[str] = "switch.ended"
    part: Part
    name: str = ""
    why: str = ""


class _EmergencyPayload(Payload):
    """What belongs to an emergency stop."""

    @property
    def subject(self) -> str:
        """The emergency stop."""
        return "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyBegun(_EmergencyPayload):
    """A person stops everything that resile does by itself: recovery and chaos are off from here on.

    Contained runs are about to be killed and held, and faults on purpose to be taken back.
    """

    kind: ClassVar[str] = "emergency.begun"
    is_stopping_services: bool
    why: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyCarriedOut(_EmergencyPayload):
    """The emergency stop has done what it is for; `problems` is what could not be done."""

    kind: ClassVar[str] = "emergency.carried_out"
    killed: int
    undone: int
    problems: tuple[str, ...] = ()
