"""Secrets: one client for every provider, rotation without a failed request, and who looks odd."""

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

__all__ = [
    "CURRENT_VERSION",
    "HIDDEN",
    "NAME_LENGTH_MAX",
    "VALUE_BYTES_MAX",
    "Abilities",
    "Consumer",
    "Consumers",
    "LeasingProvider",
    "Provider",
    "Rotator",
    "Secret",
    "Turn",
    "Version",
    "WritableProvider",
]
