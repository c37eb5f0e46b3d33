"""Calls about a server as a whole.

Source: https://openbao.org/api-docs/system/health/
"""

from datetime import UTC, datetime

from resile.clients.vault.answers import part, text_of, whole_of
from resile.clients.vault.model import Call, Health, Reply

_STATES = frozenset({429, 472, 473, 501, 503})
"""Here they are states of the server, not refusals."""


def health() -> Call[Health]:
    """Ask how a server is. It needs no token, and a sealed server answers, too."""

    def taken(reply: Reply) -> Health:
        data = part(reply)
        return Health(
            is_initialised=data.get("initialized") is True,
            is_sealed=data.get("sealed") is not False,
            is_standby=data.get("standby") is True,
            version=text_of(data, "version"),
            at=datetime.fromtimestamp(whole_of(data, "server_time_utc"), UTC),
        )

    return Call(
        method="GET", path="sys/health", what="its health", read=taken, token="", reads=_STATES
    )
