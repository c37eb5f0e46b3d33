"""Open the provider that the configuration names: one of ours, or another package's by its entry point."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies import nearest
from resile.secrets.port import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "resile.providers"
KINDS: Mapping[str, tuple[str, str]] = {
    "aws": ("resile.secrets.providers.aws", "AwsProvider"),
    "env": ("resile.secrets.providers.env", "EnvProvider"),
    "file": ("resile.secrets.providers.files", "FileProvider"),
    "local": ("resile.secrets.providers.local", "LocalProvider"),
    "vault": ("resile.secrets.providers.vault", "VaultProvider"),
}
"""The module and the class of each kind of ours."""


class ProviderClass(Protocol):
    """What a kind of provider is opened by, ours as those of other packages."""

    def open(
        self,
        settings: Mapping[str, Any],
        *,
        state: Path | None,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> Provider:
        """Open it.

        Args:
            settings: The table `[secrets]` as plain data, durations in seconds. What is not set may be
                missing. Other packages find what is theirs in `options`.
            state: The state folder; None if there is none.
            environ: The variables of this process.
            clock: For all that waits or stamps.

        Raises:
            ConfigError: If something is missing in the table.
            SecretError: If it cannot be opened.
        """
        ...


def open_provider(
    settings: Mapping[str, Any],
    *,
    state: Path | None = None,
    environ: Mapping[str, str],
    clock: Clock = SYSTEM_CLOCK,
) -> Provider:
    """Open the provider that the table `[secrets]` names; `local` if it names none.

    Args:
        settings: As `config.as_data()["secrets"]` gives it.
        state: The state folder, where the local store lies by default; None if there is none.
        environ: The variables of this process.
        clock: For all that waits or stamps.

    Raises:
        ConfigError: If there is no such provider, it cannot be loaded, or its table lacks something.
        SecretError: If it cannot be opened.
        MissingExtraError: If a package that it needs is not installed.
    """
    kind = str(settings.get("provider") or "local")
    return _class_of(kind).open(settings, state=state, environ=environ, clock=clock)


def _class_of(kind: str) -> ProviderClass:
    if kind in KINDS:
        module, name = KINDS[kind]
        return cast("ProviderClass", getattr(import_module(module), name))
    from importlib.metadata import entry_points  # Loads much: only who looks for others' kinds.

    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in others:
        raise ConfigError(
            f"there is no provider {kind!r} of secrets", hint=nearest(kind, {*KINDS, *others})
        )
    return _loaded(others[kind])


def _loaded(point: "EntryPoint") -> ProviderClass:
    try:
        return cast("ProviderClass", point.load())
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"the provider {point.name!r} cannot be loaded from {point.value}: {exc}",
            hint="install its package again",
        ) from exc
