"""Tell whether whoever asks has the key: the current one, or the one before it until that is retired.

During a rotation some send the new key and some the old one, and this process may hear of the new one
after those who send it. So what is not the current key is compared with the previous one, and then with
what is current by now.
"""

import hmac
import time
from math import inf

from resile import SecretRevokedError, UnknownSecretError
from resile.secrets import Secret, SecretManager

PREVIOUS_S = 1.0
"""So long the previous key is taken without asking anew: a key that is retired dies within this time."""


class Keys:
    """Knows them. Safe to share between threads.

    Args:
        name: Of the secret.
        secrets: Of this process.
    """

    def __init__(self, name: str, secrets: SecretManager) -> None:
        self._name = name
        self._secrets = secrets
        self._before: tuple[str, Secret | None, float] = ("", None, 0.0)

    def admit(self, key: str) -> bool:
        """Tell whether a key opens.

        Raises:
            SecretError: If nobody can tell now.
        """
        current = self._secrets.secret(self._name)
        if _is(key, current):
            return True
        before = self._previous(current.version)
        if before is not None and _is(key, before):
            return True
        newest = self._secrets.refresh(self._name, instead_of=current.version)
        return _is(key, newest)

    def _previous(self, current: str) -> Secret | None:
        """Give the key before the current one; None once it is retired, which stays so."""
        follows, before, until_s = self._before
        now_s = time.monotonic()
        if follows == current and now_s < until_s:
            return before
        try:
            before, until_s = self._secrets.secret(self._name, "previous"), now_s + PREVIOUS_S
        except (UnknownSecretError, SecretRevokedError):
            before, until_s = None, inf
        self._before = (current, before, until_s)
        return before


def _is(key: str, secret: Secret) -> bool:
    return hmac.compare_digest(key.encode("utf-8", "surrogatepass"), secret.reveal_bytes())
