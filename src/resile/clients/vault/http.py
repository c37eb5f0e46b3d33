"""What the two clients share of HTTP: the request's head and body, the answer's, and what can go wrong.

Redirects are not followed, as they would carry the token elsewhere; proxies of the environment are not
asked, as they would see the secrets. What comes back is bounded in size and in time.
"""

import json
import logging
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resile.clients._extras import require
from resile.clients.vault.answers import RETRY_AFTER_S_MAX
from resile.clients.vault.model import Reply
from resile.clients.vault.steps import Send
from resile.core.log_line import log_line
from resile.core.passwords import without_password
from resile.errors import ConfigError, ProviderDownError

logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 8 << 20
"""A list of 10,000 names of 200 characters is two of them; a value is at most 64 KiB."""
CONNECT_TIMEOUT_S = 2.0
PIECE_TIMEOUT_S = 5.0
"""Between two pieces of an answer, and for a place in the pool."""
ANSWER_TIMEOUT_S = 10.0
"""For a whole call. A write on a cluster takes milliseconds; an election takes seconds."""
CONNECTIONS_MAX = 20
REASON_LENGTH_MAX = 200
TRIES_OF_A_READ = 2
"""A connection that was kept may have been closed meanwhile: what changes nothing is sent once more."""
_NAMESPACE = re.compile(r"[\x21-\x7e]{0,200}")
_LOOPBACK = re.compile(r"http://(localhost|127\.[0-9.]+|\[::1\])(:|/|$)")


class Target:
    """A server, and how one speaks with it. Safe to share.

    Args:
        address: Its URL, perhaps with a path before `/v1/`.
        namespace: The namespace; empty for the root.
        ca_file: The authority that signed its certificate. Default: those of the system.

    Raises:
        ConfigError: If the authority cannot be read, or the namespace is none.
        MissingExtraError: If httpx is not installed.
    """

    def __init__(self, address: str, *, namespace: str = "", ca_file: Path | None = None) -> None:
        self.httpx = require("httpx", extra="daemon")
        self.name = without_password(address)
        self._base = address.rstrip("/") + "/v1/"
        if not _NAMESPACE.fullmatch(namespace):
            raise ConfigError("the namespace of Vault has letters that none may have")
        # The second one is asked for by agents, so that no page of a browser can speak with them.
        self._headers = {"Accept-Encoding": "identity", "X-Vault-Request": "true"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace
        self._trust = _trust(address, ca_file)
        if address.startswith("http://") and not _LOOPBACK.match(address):
            fields: dict[str, object] = {"address": self.name, "reason": "secrets go in clear text"}
            logger.warning(log_line("vault.unencrypted", fields), extra=fields)

    def options(self) -> dict[str, Any]:
        """Give what httpx's clients, of either kind, are made with."""
        return {
            "verify": self._trust,
            "trust_env": False,
            "follow_redirects": False,
            "headers": self._headers,
            "timeout": self.httpx.Timeout(PIECE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            "limits": self.httpx.Limits(max_connections=CONNECTIONS_MAX),
        }

    def request(self, step: Send) -> dict[str, Any]:
        """Give what httpx's `stream`, of either kind, is called with."""
        call = step.call
        headers = {"X-Vault-Token": step.token} if step.token else {}
        content = None
        if call.body is not None:
            kind = "merge-patch+json" if call.is_patch else "json"
            headers["Content-Type"] = f"application/{kind}"
            content = json.dumps(call.body, ensure_ascii=False).encode()
        return {
            "method": call.method,
            "url": self._base + call.path,
            "params": dict(call.query) or None,
            "headers": headers,
            "content": content,
        }

    def broken(self, error: Exception) -> ProviderDownError:
        """Give our error for httpx's, whose text may hold what was sent."""
        if isinstance(error, self.httpx.PoolTimeout):
            reason = f"has {CONNECTIONS_MAX} calls of ours to answer already"
        elif isinstance(error, self.httpx.TimeoutException | TimeoutError):
            reason = "does not answer in time"
        elif isinstance(error, self.httpx.ConnectError):
            reason = f"cannot be reached: {str(error)[:REASON_LENGTH_MAX]}"
        else:
            reason = "broke off"
        return ProviderDownError(
            f"Vault at {self.name} {reason}", hint="is it there, and is the address right?"
        )

    def too_large(self) -> ProviderDownError:
        """Give the error for an answer that is larger than any may be."""
        return ProviderDownError(
            f"Vault at {self.name} gives more than {ANSWER_BYTES_MAX} bytes",
            hint="is `address` that of Vault or OpenBao?",
        )

    def may_repeat(self, step: Send, error: Exception) -> bool:
        """Tell whether a call that broke off changes nothing, so that it may be sent once more."""
        is_broken = isinstance(error, self.httpx.NetworkError | self.httpx.RemoteProtocolError)
        is_away = isinstance(error, self.httpx.ConnectError)
        changes_nothing = step.call.method == "GET" and not step.call.is_once
        return changes_nothing and is_broken and not is_away


def reply_from(status: int, header: Callable[[str], str | None], body: bytes) -> Reply:
    """Read an answer; what is no JSON counts as nothing, as a proxy's page does."""
    try:
        content = json.loads(body) if body else None
    except (ValueError, RecursionError):
        content = None
    return Reply(status=status, content=content, retry_after_s=_seconds(header("Retry-After")))


def _seconds(text: str | None) -> float:
    """Read a whole number of seconds; a date, which the header may hold, too, counts as nothing."""
    seconds = int(text) if text and text.isdecimal() and len(text) < 10 else 0
    return min(float(seconds), RETRY_AFTER_S_MAX)


def _trust(address: str, ca_file: Path | None) -> ssl.SSLContext:
    if address.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Loads nothing, and is not used.
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise ConfigError(
            f"the certificates in {ca_file} cannot be read: {exc.strerror or exc}",
            hint="`ca_file` is a file with certificates in PEM",
        ) from exc
