"""A secret as the authentication of an HTTP client."""

from typing import Any

from resile.clients.http_auth import header_auth
from resile.errors import SecretError
from resile.secrets.manager import SecretManager
from resile.secrets.value import Secret


class HeaderLogin:
    """Reads a secret as the text of a header. Safe to share between threads and tasks.

    Args:
        manager: Whose secret.
        name: Which.
        header: What it stands in.
        prefix: What stands before it, such as "Bearer "; may be empty.
    """

    def __init__(self, manager: SecretManager, name: str, *, header: str, prefix: str) -> None:
        self._manager = manager
        self._name = name
        self._header = header
        self._prefix = prefix

    def auth(self) -> Any:
        """Give it as an `httpx.Auth`.

        Raises:
            MissingExtraError: If httpx is not installed.
        """
        return header_auth(
            self._header,
            read=self._read,
            refresh=self._refresh,
            aread=self._aread,
            arefresh=self._arefresh,
            refused=self._refused,
        )

    def _read(self) -> tuple[str, str]:
        return self._told(self._manager.secret(self._name))

    async def _aread(self) -> tuple[str, str]:
        return self._told(await self._manager.asecret(self._name))

    def _refresh(self, version: str) -> tuple[str, str] | None:
        try:
            return self._newer(self._manager.refresh(self._name, instead_of=version), version)
        except SecretError:
            return None  # The answer that was refused tells enough.

    async def _arefresh(self, version: str) -> tuple[str, str] | None:
        try:
            found = await self._manager.arefresh(self._name, instead_of=version)
            return self._newer(found, version)
        except SecretError:
            return None

    def _newer(self, found: Secret, version: str) -> tuple[str, str] | None:
        if found.version != version:
            return self._told(found)
        self._refused()
        return None

    def _told(self, secret: Secret) -> tuple[str, str]:
        return secret.version, self._prefix + secret.reveal()

    def _refused(self) -> None:
        self._manager.refusals.add(self._name)
