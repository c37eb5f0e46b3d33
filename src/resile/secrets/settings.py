"""The settings of `resile.use_secrets` and of the variable RESILE_SECRETS, as the table `[secrets]` has them."""

from collections.abc import Mapping
from typing import Any, Final

from resile.core.units import parse_duration
from resile.errors import ConfigError
from resile.policies import nearest
from resile.secrets.cache.model import Terms

TIMES: Final = ("ttl", "max_stale")
OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "local": ("file", "key_file", "key_credential", "passphrase_file"),
    "env": ("prefix",),
    "file": ("folder",),
    "vault": (
        "address",
        "namespace",
        "mount",
        "ca_file",
        "token_file",
        "role_id",
        "secret_id_file",
        "kubernetes_role",
        "kubernetes_token_file",
    ),
    "aws": ("region", "endpoint", "prefix"),
}
"""What each of our providers may be told: the configuration has the same, with their meaning."""
_WITH_TABLE: Final = ("vault", "aws")
"""Their settings stand in a table of their own."""
_AFTER_COLON: Final = {"env": "prefix", "file": "folder"}


def table_of(provider: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a provider in the shape of the table `[secrets]`.

    Raises:
        ConfigError: If our provider knows no such setting. Those of other packages get all that there is.
    """
    own = {key: value for key, value in settings.items() if key not in TIMES}
    if provider not in OWN:
        return {"provider": provider, "options": own}
    for key in own:
        if key not in OWN[provider]:
            raise ConfigError(
                f"secrets of {provider!r} have no setting {key!r}",
                hint=nearest(key, (*OWN[provider], *TIMES)),
            )
    return {"provider": provider, **({provider: own} if provider in _WITH_TABLE else own)}


def terms_of(settings: Mapping[str, Any]) -> Terms:
    """Give how long values are served: "5m" and the like, or seconds.

    Raises:
        ConfigError: If that is no duration, or out of its range.
    """
    try:
        given = {f"{key}_s": parse_duration(settings[key]) for key in TIMES if key in settings}
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"a time of secrets cannot be read: {exc}", hint='write "5m"') from None
    return Terms(**given)


def from_variable(text: str) -> tuple[str, dict[str, Any]]:
    """Read "env", "env:PREFIX_" or "file:/run/secrets"; give the provider and its settings.

    Raises:
        ConfigError: If it is none of these.
    """
    kind, colon, rest = text.partition(":")
    if kind in _AFTER_COLON and (rest or (kind == "env" and not colon)):
        return kind, ({_AFTER_COLON[kind]: rest} if rest else {})
    raise ConfigError(
        "RESILE_SECRETS cannot be read",  # It may hold a secret that somebody put there by mistake.
        hint='write "env", "env:PREFIX_" or "file:/run/secrets"; for other providers call '
        "resile.use_secrets",
    )
