"""Leases of what clients were given: who was given one may have more time for it, or let it go.

A credential that was made for a client that is cut off dies with its lease; nobody else uses it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from resile.clients import wire
from resile.core.clock import Clock
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.renewing import AGAIN_S_MAX, AGAIN_S_MIN, TRIES_MAX
from resile.errors import ConfigError, ProviderDownError, ResileError, SecretRevokedError
from resile.secrets import LeasingProvider, Provider, Secret

logger = logging.getLogger(__name__)

LEASES_MAX = 10_000
"""The oldest are forgotten: they get no more time, and are read anew."""
_ID_LENGTH_MAX = 1000
_FOR_S_MAX = 365 * 86_400.0

Facts = Mapping[str, Any]


class Leasing:
    """Safe to share between threads. What it knows ends with this life: then a secret is read anew.

    Args:
        provider: Gives what leases; raises a ResileError where there is none yet.
        clock: Waits between attempts.
    """

    def __init__(self, provider: Callable[[], Provider], *, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """By lease: the client that was given it, and the name of the secret."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="leasing")
        self.asks = {"renew": self._renew, "let_go": self._let_go}

    def given(self, client: str, secret: Secret) -> None:
        """Note what a client is given; nothing, if it has no lease."""
        if not secret.lease_id:
            return
        with self._lock:
            self._clients[secret.lease_id] = client, secret.name
            while len(self._clients) > LEASES_MAX:
                self._clients.popitem(last=False)

    def cut(self, client: str) -> frozenset[str]:
        """End all leases of a client, and give the names that they are of. Does not wait."""
        with self._lock:
            mine = {key: name for key, (whose, name) in self._clients.items() if whose == client}
        for lease_id in mine:
            self._pool.submit(self._end, lease_id)
        return frozenset(mine.values())

    def _renew(self, _connection: int, client: Client, message: Facts) -> Facts:
        lease_id = _lease_of(message)
        if not self._is_of(client, lease_id):
            raise SecretRevokedError(
                "the keeper of secrets knows no such lease of this client",
                hint="read the secret again",
            )
        for_s = wire.number_of(message.get("for_s"), high=_FOR_S_MAX)
        return {"granted_s": self._leasing().renew(lease_id, for_s=for_s)}

    def _let_go(self, _connection: int, client: Client, message: Facts) -> Facts:
        lease_id = _lease_of(message)
        if self._is_of(client, lease_id):
            self._leasing().revoke(lease_id)
            self._forget(lease_id)
        return {}

    def _is_of(self, client: Client, lease_id: str) -> bool:
        with self._lock:
            return self._clients.get(lease_id, ("", ""))[0] == client.name

    def _leasing(self) -> LeasingProvider:
        provider = self._provider()
        if not isinstance(provider, LeasingProvider):
            raise ConfigError(f"the provider {provider.kind} has no leases")
        return provider

    def _end(self, lease_id: str) -> None:
        """End one, as soon as the provider answers; else it ends by itself, later."""
        again_s = AGAIN_S_MIN
        for _ in range(TRIES_MAX):
            try:
                self._leasing().revoke(lease_id)
            except ProviderDownError as exc:
                logger.warning("secretkeeper.lease_not_ended reason=%s", exc.message)
                self._clock.sleep(again_s)
                again_s = min(2 * again_s, AGAIN_S_MAX)
            except ResileError as exc:
                logger.warning("secretkeeper.lease_not_ended reason=%s", exc.message)
                return
            else:
                self._forget(lease_id)
                return

    def _forget(self, lease_id: str) -> None:
        with self._lock:
            self._clients.pop(lease_id, None)


def _lease_of(message: Facts) -> str:
    return wire.text_of(message.get("lease_id"), length_max=_ID_LENGTH_MAX)
