"""Who may decide about runs and restores: on the unix socket everybody who can open it, on TCP who has the token.

The token is a header that a page of another site cannot send: the browser would ask first
(CORS preflight), and nobody here says yes. It stands in no cookie, so no request carries it by
itself.
"""

import hmac
from typing import Annotated

from fastapi import Depends, Header, Request

from resile.web.answers import ApiError

TOKEN_HEADER = "X-Resile-Token"  # noqa: S105 - the header's name
TOKEN_LENGTH_MAX = 200


class Access:
    """The rule of one application.

    Args:
        token: What must be sent; empty lets nobody decide, None everybody.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def allows(self, sent: str) -> bool:
        """Tell whether who sends this may decide; takes as long for every wrong one."""
        if self._token is None:
            return True
        is_equal = hmac.compare_digest(sent.encode(), self._token.encode())
        return is_equal and self._token != ""


SentToken = Annotated[
    str,
    Header(alias=TOKEN_HEADER, max_length=TOKEN_LENGTH_MAX, description="On TCP: who may decide."),
]


async def may_decide(request: Request, token: SentToken = "") -> bool:
    """Tell whether the one who asks may decide."""
    access: Access = request.app.state.access
    return access.allows(token)


async def require_decider(is_allowed: Annotated[bool, Depends(may_decide)]) -> None:
    """Let the request pass, or not.

    Raises:
        ApiError: 403.
    """
    if not is_allowed:
        raise ApiError(
            403,
            "This needs the token of the daemon that runs now.",
            hint="Open the link that `resile dashboard` prints.",
        )
