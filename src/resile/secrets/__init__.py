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
    from resile.secrets.cache.model import Terms
    from resile.secrets.hooks.using import aconnect_with, bind_engine, connect_with, httpx_auth
    from resile.secrets.manager import SecretManager
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
    "SecretManager",
    "Terms",
    "Turn",
    "Version",
    "WritableProvider",
    "aconnect_with",
    "bind_engine",
    "connect_with",
    "httpx_auth",
    "open_provider",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "advice": ("Advice", "AdviceLevel"),
        "authority": ("Authority",),
        "cache.model": ("Terms",),
        "hooks.using": ("aconnect_with", "bind_engine", "connect_with", "httpx_auth"),
        "manager": ("SecretManager",),
        "providers.opening": ("open_provider",),
    }
    return load(__name__, name, homes)
