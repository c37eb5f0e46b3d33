"""What providers, the manager and rotations tell each other. Frozen data, without values."""

from dataclasses import dataclass
from datetime import datetime

from resile.core.secret_names import SECRET_NAME_LENGTH_MAX
from resile.core.vocabulary import RotationReason, SecretStage
from resile.secrets.value import Secret

CURRENT_VERSION = SecretStage.CURRENT.value
VALUE_BYTES_MAX = 64 << 10
"""AWS takes 64 KiB, and is the narrowest of the providers."""
NAME_LENGTH_MAX = SECRET_NAME_LENGTH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a secret, without its value.

    Args:
        number: As the provider numbers it; only to be compared for equality.
        stage: What it is to its name.
        created_at: When it was written; None if the provider does not say. Aware, UTC.
        token: The idempotency token that it was written with; empty if unknown.
    """

    number: str
    stage: SecretStage
    created_at: datetime | None = None
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a provider can do beyond reading.

    Args:
        has_versions: It keeps what was before.
        can_write: It is a `WritableProvider`.
        has_leases: It is a `LeasingProvider`: its secrets may have leases.
        is_remote: It is reached over a network, and may be away while this machine works.
    """

    has_versions: bool
    can_write: bool
    has_leases: bool = False
    is_remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a rotator gets to work on: one rotation of one secret.

    Args:
        rotation_id: Unique; what makes an effect idempotent may be derived from it.
        name: The secret.
        reason: Why.
        before: The version that was current when the rotation began; None if the name was new.
        after: The candidate; None until it is prepared, and if it was revoked since it became current.
    """

    rotation_id: str
    name: str
    reason: RotationReason
    before: Secret | None
    after: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One process that uses a secret, as it stands now.

    Args:
        consumer_id: Unique while it lives.
        label: For people: `dispatcher (pid 1234)`.
        version: The newest version that it has acknowledged: it uses nothing older.
        is_live: It was heard lately. One that is not is not waited for.
    """

    consumer_id: str
    label: str
    version: str
    is_live: bool = True
