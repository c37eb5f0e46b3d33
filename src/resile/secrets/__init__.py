"""Secrets: one client for every provider, rotation without a failed request, and who looks odd.

What a user's process needs is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from resile.secrets.model import (
    CURRENT_VERSION,
    NAME_LENGTH_MAX,
    VALUE_BYTES_MAX,
    Abilities,
    Consumer,
    Turn,
    Version,
)
from resile.secrets.port import Consumers, LeasingProvider, Provider, Rotator, WritableProvider
from resile.secrets.value import HIDDEN, Secret

if TYPE_CHECKING:
    from resile.secrets.advice import Advice, AdviceLevel
    from resile.secrets.authority import Authority
    from resile.secrets.providers.opening import open_provider

__all__ = [
    "CURRENT_VERSION",
    "HIDDEN",
    "NAME_LENGTH_MAX",
    "VALUE_BYTES_MAX",
    "Abilities",
    "Advice",
    "AdviceLevel",
    "Authority",
    "Consumer",
    "Consumers",
    "LeasingProvider",
    "Provider",
    "Rotator",
    "Secret",
    "Turn",
    "Version",
    "WritableProvider",
    "open_provider",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "advice": ("Advice", "AdviceLevel"),
        "authority": ("Authority",),
        "providers.opening": ("open_provider",),
    }
    return load(__name__, name, homes)
