"""The envelope that every event travels in, and the registry of what may be in it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar

from resile.core.codec import decode, encode
from resile.core.ids import new_id

HOMES = tuple(
    f"resile.core.events.{name}"
    for name in (
        "runs",
        "journal",
        "recovery",
        "incidents",
        "escapes",
        "policies",
        "store",
        "symptoms",
        "system",
        "troubles",
        "degradation",
        "secrets",
        "predictions",
        "chaos",
        "drills",
        "switches",
    )
)
"""The modules that declare payloads; those that a short-lived command needs come first."""
BODY_BYTES_MAX = 1 << 20
"""The longest body the journal takes: a checkpoint of a few hundred services is below 200 KiB."""


class Payload:
    """The base of every payload. Subclasses register themselves by their kind."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    registry: ClassVar[dict[str, type["Payload"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Payload.registry[cls.kind] = cls

    @property
    def subject(self) -> str:
        """What the event is about: `service/NAME`, `check/ID`, `fault/ID`, `incident/ID`, `brain`."""
        raise NotImplementedError

    @property
    def correlation_id(self) -> str:
        """What ties events of one story together: a fault's or an incident's id; empty if none."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, as the journal keeps it.

    Args:
        id: Sorts by time.
        at: When it was seen; aware, UTC.
        kind: `part.past_tense`, such as `process.exited`.
        subject: What it is about.
        actor: Who wrote it: `brain`, `guard`, `cli`, `operator:NAME`.
        body: The payload's fields as JSON data.
        correlation_id: The story it belongs to; empty if none.
        version: Of the body's meaning.
    """

    id: str
    at: datetime
    kind: str
    subject: str
    actor: str
    body: Mapping[str, Any]
    correlation_id: str = ""
    version: int = 1

    def payload(self) -> Payload | None:
        """Read the typed payload; None if this version does not know the kind.

        Raises:
            ValueError: If the body does not fit its kind.
        """
        kind = Payload.registry.get(self.kind) or _registry().get(self.kind)
        return None if kind is None else decode(kind, self.body)


def announce(payload: Payload, *, at: datetime, actor: str) -> Event:
    """Wrap a payload into a new event."""
    return Event(
        id=new_id("evt", at=at),
        at=at,
        kind=payload.kind,
        subject=payload.subject,
        actor=actor,
        body=encode(payload),
        correlation_id=payload.correlation_id,
        version=payload.version,
    )


def payload_kinds() -> tuple[str, ...]:
    """List every kind of event that this version writes, sorted."""
    return tuple(sorted(_registry()))


def payload_fields(kind: str) -> tuple[str, ...]:
    """List the body's fields of a kind, in order."""
    return tuple(f.name for f in dataclasses.fields(_registry()[kind]))  # type: ignore[arg-type]


def _registry() -> Mapping[str, type[Payload]]:
    """Give every payload that this version knows, loaded."""
    for home in HOMES:
        import_module(home)
    return Payload.registry
