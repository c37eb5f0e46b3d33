"""Rotate a key of Vault's transit engine: a new version encrypts, and the old ones decrypt until retired.

The secret is a JSON object with `key`, `mount` and `version`: the version that consumers encrypt with, and
to which they rewrap what they keep before they acknowledge. Retiring raises `min_decryption_version`: what
is still sealed with an older version does not open any more, until an operator lowers it again.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Self

from resile.clients.vault import TransitKey, VaultClient, transit
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError, OperationError, SecretDamagedError, SecretError
from resile.secrets.model import Turn
from resile.secrets.port import Provider
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.value import Secret

_VERSION = "version"


class TransitRotator:
    """Makes versions of a key. Safe to share between threads.

    Args:
        key: Its name.
        client: What to call through.
        mount: Where the engine is mounted.
    """

    kind: Final = "transit"
    has_overlap: Final = True

    def __init__(self, key: str, *, client: VaultClient, mount: str = "transit") -> None:
        self._key = key
        self._client = client
        self._mount = mount

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        provider: Provider,
        clock: Clock = SYSTEM_CLOCK,  # noqa: ARG003 - every rotator is opened with the same
    ) -> Self:
        """Open what the table `rotator` says.

        Args:
            settings: The table; its `key` and `mount` count.
            provider: Vault, with the login that may use the engine, too.
            clock: Nothing here takes time.

        Raises:
            ConfigError: If the secrets are kept elsewhere.
        """
        if not isinstance(provider, VaultProvider):
            raise ConfigError(
                f"the rotator transit needs the provider vault, and this is {provider.kind}",
                hint='set provider = "vault" in [secrets], or rotate the key in another way',
            )
        mount = settings.get("mount") or "transit"
        return cls(settings["key"], client=provider.client, mount=mount)

    @property
    def target(self) -> str:
        """The key: no two rotations may change it at once."""
        return f"transit-key/{self._mount}/{self._key}"

    def prepare(self, turn: Turn) -> bytes:  # noqa: ARG002 - the key alone tells what is next
        """Name the version that comes next; nothing is changed.

        Raises:
            SecretError: If there is no such key, or it does not encrypt.
        """
        key = self._look()
        if not key.can_encrypt:
            raise SecretError(
                f"transit key {self._key!r} does not encrypt, so nothing can be tried with it",
                hint="rotate keys for signatures by hand: bao write -f transit/keys/NAME/rotate",
            )
        version = str(key.latest + 1)
        return json.dumps({"key": self._key, "mount": self._mount, _VERSION: version}).encode()

    def set(self, turn: Turn) -> None:
        """Make the version, unless it is there."""
        if self._look().latest < _version_of(turn.after):
            self._client.do(transit.rotate(self._key, mount=self._mount))

    def verify(self, turn: Turn) -> None:
        """Encrypt with the version, and decrypt again.

        Raises:
            OperationError: If another text comes back.
        """
        probe, version = turn.rotation_id.encode(), _version_of(turn.after)
        sealed = self._client.do(
            transit.encrypt(self._key, probe, mount=self._mount, version=version)
        )
        if self._client.do(transit.decrypt(self._key, sealed, mount=self._mount)) != probe:
            raise OperationError(
                f"transit key {self._key!r} decrypts something else than it encrypted",
                hint="look at its version in Vault",
            )

    def retire(self, turn: Turn) -> None:
        """Let no version below the new one decrypt or encrypt; nothing happens if none was in use."""
        if turn.before is None:
            return
        key, version = self._look(), _version_of(turn.before) + 1
        if turn.after is not None:  # Else it was revoked meanwhile.
            version = _version_of(turn.after)
        call = transit.configure(
            self._key,
            mount=self._mount,
            min_decryption=max(key.min_decryption, version),
            min_encryption=max(key.min_encryption, version) if key.min_encryption else 0,
        )
        self._client.do(call)

    def abort(self, turn: Turn) -> None:
        """Leave it as it is: a version cannot be taken back, and hurts nobody beside the others."""

    def _look(self) -> TransitKey:
        return self._client.do(transit.key_info(self._key, mount=self._mount))


def _version_of(secret: Secret | None) -> int:
    if secret is None:
        raise AssertionError("there is no candidate yet")
    text = secret.field(_VERSION)
    if not text.isdecimal():
        raise SecretDamagedError(
            f"secret {secret.name!r} names no version of a transit key", hint="rotate it"
        )
    return int(text)
