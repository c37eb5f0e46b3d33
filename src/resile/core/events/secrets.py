"""The story of secrets: who read what, how they were rotated, and what looked wrong. Never a value.

`number` is the version of the secret, as its provider numbers it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import (
    AccessOutcome,
    RotationOutcome,
    RotationReason,
    RotationStep,
    SecretResponse,
)


class _SecretPayload(Payload):
    """What is about one secret."""

    name: str

    @property
    def subject(self) -> str:
        """The secret."""
        return f"secret/{self.name}"


class _RotationPayload(_SecretPayload):
    """What belongs to one rotation."""

    rotation_id: str

    @property
    def correlation_id(self) -> str:
        """The rotation."""
        return self.rotation_id


class _ClientPayload(Payload):
    """What is about one client."""

    client: str

    @property
    def subject(self) -> str:
        """The client."""
        return f"client/{self.client}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAccessed(_SecretPayload):
    """A client asked for a secret. Recorded before the answer goes out.

    `client` is `service/NAME` or `user/UID/PROGRAM`; `count` equal accesses within a second are one record.
    """

    kind: ClassVar[str] = "secret.accessed"
    name: str
    number: str
    client: str
    pid: int
    uid: int
    outcome: AccessOutcome
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretWritten(_SecretPayload):
    """Somebody put a new current value, or rolled back to the one before it."""

    kind: ClassVar[str] = "secret.written"
    name: str
    number: str
    who: str
    is_rollback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRevoked(_SecretPayload):
    """A version is not given to anybody any more."""

    kind: ClassVar[str] = "secret.revoked"
    name: str
    number: str
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsRekeyed(Payload):
    """Every value of the local store is sealed with a new master key."""

    kind: ClassVar[str] = "secrets.rekeyed"
    versions: int
    who: str

    @property
    def subject(self) -> str:
        """The secrets as a whole."""
        return "secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationBegun(_RotationPayload):
    """A rotation was taken on; nothing outside has changed yet."""

    kind: ClassVar[str] = "rotation.begun"
    rotation_id: str
    name: str
    rotator: str
    reason: RotationReason
    who: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationAdvanced(_RotationPayload):
    """A rotation has reached a step; what that step did is durable."""

    kind: ClassVar[str] = "rotation.advanced"
    rotation_id: str
    name: str
    step: RotationStep
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationWaits(_RotationPayload):
    """A rotation is held up: by consumers that did not acknowledge, or by a target that fails.

    The credential before it stays valid.
    """

    kind: ClassVar[str] = "rotation.waits"
    rotation_id: str
    name: str
    step: RotationStep
    consumers: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationEnded(_RotationPayload):
    """A rotation is over. `cut` are the consumers that lost the old credential without an acknowledgement."""

    kind: ClassVar[str] = "rotation.ended"
    rotation_id: str
    name: str
    outcome: RotationOutcome
    number: str
    duration_s: float
    cut: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAnomaly(_ClientPayload):
    """A client's way with secrets looked wrong.

    `signals` are the words of what was seen, `score` is 0 to 100, `names` are the secrets it is about, and
    `response` is what is done about it.
    """

    kind: ClassVar[str] = "secret.anomaly"
    anomaly_id: str
    client: str
    names: tuple[str, ...]
    signals: tuple[str, ...]
    score: float
    response: SecretResponse
    why: str

    @property
    def correlation_id(self) -> str:
        """The anomaly."""
        return self.anomaly_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientQuarantined(_ClientPayload):
    """A client gets no secret until somebody releases it."""

    kind: ClassVar[str] = "client.quarantined"
    client: str
    why: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReleased(_ClientPayload):
    """A client gets its secrets again."""

    kind: ClassVar[str] = "client.released"
    client: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLost(Payload):
    """The provider of secrets does not answer; what is cached is served meanwhile."""

    kind: ClassVar[str] = "provider.lost"
    provider: str
    reason: str
    began_at: datetime

    @property
    def subject(self) -> str:
        """The secrets as a whole."""
        return "secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFound(Payload):
    """The provider of secrets answers again."""

    kind: ClassVar[str] = "provider.found"
    provider: str
    away_s: float

    @property
    def subject(self) -> str:
        """The secrets as a whole."""
        return "secrets"
