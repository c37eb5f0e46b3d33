"""What is measured and scored, as the configuration says. Frozen data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from resile.core.config import Config
from resile.core.config.rotators import TlsRotator
from resile.health import CheckSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ForesightPlan:
    """What there is.

    Args:
        checks: Every check; those of disks and processes tell limits, too.
        memory_limits: What the processes of a service may have together, in bytes, by its name;
            services without a limit are left out.
        state: The state folder, whose disk is watched.
        secret_services: Who gets a secret, by its name.
        secret_lifetimes_s: How long a version of a secret is valid, where that is known.
        has_data: Folders get snapshots here.
        predictor: The name of the predictor.
    """

    checks: tuple[CheckSpec, ...]
    state: Path
    memory_limits: Mapping[str, int] = field(default_factory=dict)
    secret_services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secret_lifetimes_s: Mapping[str, float] = field(default_factory=dict)
    has_data: bool = False
    predictor: str = "trend"

    @classmethod
    def of(cls, config: Config, checks: Sequence[CheckSpec], *, state: Path) -> Self:
        """Take it from what the user wrote."""
        return cls(
            checks=tuple(checks),
            state=state,
            memory_limits={
                name: service.limits.memory
                for name, service in config.service.items()
                if service.limits.memory
            },
            secret_services={name: one.services for name, one in config.secret.items()},
            secret_lifetimes_s={
                name: one.rotator.lifetime
                for name, one in config.secret.items()
                if isinstance(one.rotator, TlsRotator)
            },
            has_data=bool(config.snapshot),
            predictor=config.resile.predictor,
        )
