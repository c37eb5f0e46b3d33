"""Open the rotator that a secret's table names: one of ours, or another package's by its entry point."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol, cast

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies import nearest
from resile.secrets.port import Provider, Rotator

ENTRY_POINTS: Final = "resile.rotators"
PLUGIN: Final = "plugin"
KINDS: Mapping[str, tuple[str, str]] = {
    "aws-database": ("resile.secrets.rotators.aws_database", "AwsDatabaseRotator"),
    "aws-iam": ("resile.secrets.rotators.aws_iam", "AwsIamRotator"),
    "aws-kms": ("resile.secrets.rotators.aws_kms", "AwsKmsRotator"),
    "command": ("resile.secrets.rotators.command", "CommandRotator"),
    "postgres": ("resile.secrets.rotators.postgres", "PostgresRotator"),
    "random": ("resile.secrets.rotators.random_value", "RandomRotator"),
    "tls": ("resile.secrets.rotators.tls", "TlsRotator"),
    "transit": ("resile.secrets.rotators.transit", "TransitRotator"),
}
"""The module and the class of each kind of ours."""


class RotatorClass(Protocol):
    """What a kind of rotator is opened by, ours as those of other packages."""

    def open(self, settings: Mapping[str, Any], *, provider: Provider, clock: Clock) -> Rotator:
        """Open it. Nothing outside is asked yet.

        Args:
            settings: The table `rotator`, durations in seconds. Another package's gets its `options`.
            provider: Keeps the secret, and others that it needs.
            clock: For all that waits or stamps.

        Raises:
            ConfigError: If something in the table is wrong.
        """
        ...


def open_rotator(
    settings: Mapping[str, Any], *, provider: Provider, clock: Clock = SYSTEM_CLOCK
) -> Rotator:
    """Open the rotator that a table `rotator` names.

    Args:
        settings: The table as plain data, durations in seconds; `kind` tells which.
        provider: Keeps the secret, and others that it needs.
        clock: For all that waits or stamps.

    Raises:
        ConfigError: If there is no such rotator, it cannot be loaded, or its table is wrong.
        MissingExtraError: If a package that it needs is not installed.
    """
    kind = str(settings.get("kind", ""))
    if kind == PLUGIN:
        opener = _of_another_package(settings["name"])
        settings = settings.get("options", {})
    elif kind in KINDS:
        module, name = KINDS[kind]
        opener = cast("RotatorClass", getattr(import_module(module), name))
    else:
        raise ConfigError(f"there is no rotator {kind!r}", hint=nearest(kind, {*KINDS, PLUGIN}))
    return opener.open(settings, provider=provider, clock=clock)


def _of_another_package(name: str) -> RotatorClass:
    from importlib.metadata import entry_points  # Loads much: only who looks for others' kinds.

    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        raise ConfigError(
            f"no package has a rotator {name!r}", hint=nearest(name, set(points)) or "install it"
        )
    try:
        return cast("RotatorClass", points[name].load())
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"the rotator {name!r} cannot be loaded from {points[name].value}: {exc}",
            hint="install its package again",
        ) from exc
