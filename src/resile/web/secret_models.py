"""The shapes of secrets in the API, without their values; as those of `models.py`, they let later fields pass."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from resile.core.vocabulary import (
    RotationOutcome,
    RotationReason,
    RotationStep,
    SecretResponse,
)
from resile.web.models import Shape


class Provider(Shape):
    """Who keeps the secrets."""

    kind: str = Field(
        description="As in `resile.toml`; empty: no secret is declared, or it is not known yet."
    )
    is_well: bool
    reason: str = Field(default="", description="Why it is not; cached values are served then.")


class Holder(Shape):
    """A process that uses a secret."""

    label: str
    version: str = Field(description="The newest that it has acknowledged.")
    is_live: bool = Field(description="It was heard lately; one that was not is not waited for.")


class Reached(Shape):
    """A step that a rotation has reached."""

    step: RotationStep
    at: AwareDatetime


class OpenRotation(Shape):
    """A rotation that goes on, or waits."""

    rotation_id: str
    step: RotationStep = Field(description="The last that was reached.")
    steps: list[Reached]
    reason: RotationReason
    waits_for: list[str] = Field(default=[], description="Consumers that did not acknowledge.")
    why: str = Field(default="", description="What holds it up.")


class SecretState(Shape):
    """A secret, without its value."""

    name: str
    version: str = Field(description="The current one; empty if there is none.")
    created_at: AwareDatetime | None = Field(default=None, description="Of that version.")
    age_s: float | None = Field(default=None, ge=0)
    next_rotation_at: AwareDatetime | None = Field(
        default=None, description="null: it is not rotated by itself."
    )
    rotator: str = Field(default="", description="Its kind; empty: it is not rotated.")
    services: list[str] = Field(default=[], description="Those that get it.")
    deliver: str = Field(default="api", description="`api`, `env` or `file`.")
    is_canary: bool = Field(
        default=False, description="Nobody needs it. Told only to those who may decide."
    )
    is_made_when_read: bool = Field(
        default=False, description="It has no versions: each reader gets a credential of its own."
    )
    can_roll_back: bool = Field(
        default=True, description="The value before can be made current again."
    )
    holders: list[Holder] = Field(default=[], description="Who uses it.")
    rotation: OpenRotation | None = None


class Anomaly(Shape):
    """A client's way with secrets that looked wrong."""

    at: AwareDatetime
    client: str
    names: list[str]
    signals: list[str]
    score: float = Field(ge=0, le=100)
    response: SecretResponse
    why: str = ""


class Quarantined(Shape):
    """A client that gets no secrets."""

    client: str
    why: str
    at: AwareDatetime


class EndedRotation(Shape):
    """A rotation that is over."""

    rotation_id: str
    name: str
    outcome: RotationOutcome
    reason: RotationReason
    ended_at: AwareDatetime
    duration_s: float
    cut: list[str] = Field(default=[], description="Who lost the old one unasked.")


class Secrets(Shape):
    """The secrets, and what happens to them. No value is among it."""

    provider: Provider
    secrets: list[SecretState]
    anomalies: list[Anomaly] = Field(default=[], description="The newest first.")
    quarantined: list[Quarantined] = Field(
        default=[], description="Those that are cut off, the newest first."
    )
    quarantined_more: int = Field(default=0, description="So many older ones are not listed.")
    rotations: list[EndedRotation] = Field(default=[], description="The newest first.")
    may_decide: bool = Field(description="Whoever asked may rotate, roll back and release.")


class RotationWish(BaseModel):
    """Why a secret is to be rotated now."""

    model_config = ConfigDict(extra="forbid")

    reason: Literal["manual", "compromise"] = Field(
        default="manual",
        description="`compromise`: somebody else has it, so the old one dies at the secret's deadline, "
        "whoever still uses it. `manual`: it dies when nobody does.",
    )
    why: str = Field(default="", max_length=200)
    who: str = Field(default="operator", min_length=1, max_length=100)


class Rotated(Shape):
    """What came of a rotation."""

    rotation_id: str
    name: str
    outcome: RotationOutcome | None = Field(
        default=None, description="null: it waits, and goes on by itself."
    )
    number: str = Field(default="", description="The version that is current now.")
    duration_s: float = 0.0
    cut: list[str] = Field(default=[], description="Who lost the old one unasked.")
    waits_for: list[str] = Field(default=[], description="Consumers that did not acknowledge.")
    why: str = Field(default="", description="What holds it up, or why it did not succeed.")


class SecretWish(BaseModel):
    """Who wants it."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(default="operator", min_length=1, max_length=100)


class RolledBack(Shape):
    """The value before is current again."""

    name: str
    version: str = Field(description="The new version that it is.")


class Released(Shape):
    """The client gets its secrets again."""

    client: str
