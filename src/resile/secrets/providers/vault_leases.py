"""Credentials that Vault makes for whoever asks, such as a database user for one service.

They live by a lease, and the lease by the token that asked: when a token ends, all of its credentials do.
So no more time is promised than the token has, and a lease of another token than ours gets none: nobody
keeps that token alive.
"""

import json
import re
import threading
from collections import OrderedDict

from resile.clients.vault import NEVER, Session, VaultClient, leases
from resile.core.clock import Clock
from resile.core.secret_names import DYNAMIC_PREFIX
from resile.errors import SecretRevokedError, UnknownSecretError
from resile.secrets.value import Secret

LEASES_MAX = 10_000
_PATH = re.compile(r"(.+)/creds/[^/]+")
"""Of a database, AWS, RabbitMQ... No other path of the server can be reached by a name."""


def is_dynamic(name: str) -> bool:
    """Tell whether a name is that of a credential that is made when it is read.

    `dynamic/database/creds/app` is made at `database/creds/app`.
    """
    return name.startswith(DYNAMIC_PREFIX)


class Leases:
    """What was made for us. Safe to share between threads.

    Args:
        client: What to call through.
        session: Whose token the leases live by.
        clock: Measures what is left of it.
    """

    def __init__(self, client: VaultClient, session: Session, *, clock: Clock) -> None:
        self._client = client
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def issue(self, name: str) -> Secret:
        """Have a credential made. Each call makes another one.

        Raises:
            UnknownSecretError: If there is no such role.
        """
        path = name.removeprefix(DYNAMIC_PREFIX)
        if not _PATH.fullmatch(path):
            raise UnknownSecretError(
                f"{name!r} is no credential of Vault",
                hint="write dynamic/MOUNT/creds/ROLE, such as dynamic/database/creds/app",
            )
        made = self._client.do(leases.issue(path))
        token = self._session.token
        with self._lock:
            self._tokens[made.lease_id] = token.number if token else 0
            while len(self._tokens) > LEASES_MAX:
                self._tokens.popitem(last=False)
        return Secret(
            name,
            made.lease_id.rpartition("/")[2],
            json.dumps(made.fields, ensure_ascii=False).encode(),
            lease_id=made.lease_id,
            lease_s=self._within_token(made.lease_s),
        )

    def renew(self, lease_id: str, *, for_s: float) -> float:
        """Ask for more time; give the seconds that were granted, and that the token has, too.

        Raises:
            SecretRevokedError: If the lease has ended, can get no more time, or lives by a token that
                nobody renews any more.
        """
        granted_s = self._client.do(leases.renew(lease_id, for_s=for_s))
        token = self._session.token
        with self._lock:
            number = self._tokens.get(lease_id)
        if token is None or number != token.number:
            raise SecretRevokedError(
                "the token that this lease lives by was replaced, and takes it along when it ends",
                hint="read the secret again",
            )
        return self._within_token(granted_s)

    def revoke(self, lease_id: str) -> None:
        """End a lease. Idempotent."""
        self._client.do(leases.revoke(lease_id))
        with self._lock:
            self._tokens.pop(lease_id, None)

    def _within_token(self, seconds: float) -> float:
        token = self._session.token
        left_s = token.ends_at_s - self._clock.monotonic() if token else NEVER
        return max(min(seconds, left_s), 0.0)
