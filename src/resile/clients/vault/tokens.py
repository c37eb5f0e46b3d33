"""Calls about tokens: logging in, asking of oneself, more time, the end, and what is wrapped.

Source: https://openbao.org/api-docs/auth/
"""

import re
from dataclasses import replace
from typing import Any

from resile.clients.vault.answers import (
    complaint,
    odd_answer,
    part,
    refusal,
    said_in,
    text_of,
    whole_of,
)
from resile.clients.vault.model import NEVER, Auth, Call, Reply
from resile.clients.vault.paths import path_of
from resile.errors import SecretDeniedError, SecretError

_REFUSED = frozenset({400, 403})
_PAST_MAX = "past the max TTL"
"""Of a token that can get no more time, servers say this with a status of their own faults."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


def is_token(text: str) -> bool:
    """Tell whether a text can be sent as a token: printable, without spaces."""
    return _TOKEN.fullmatch(text) is not None


def approle_login(role_id: str, secret_id: str, *, mount: str = "approle") -> Call[Auth]:
    """Log in with a role of AppRole."""
    body = {"role_id": role_id, "secret_id": secret_id}
    return _login(mount, body, hint="check the role id, and whether its secret id has expired")


def kubernetes_login(role: str, jwt: str, *, mount: str = "kubernetes") -> Call[Auth]:
    """Log in with the token of a pod."""
    return _login(
        mount,
        {"role": role, "jwt": jwt},
        hint="check the role, its service accounts and namespaces",
    )


def look_up_self() -> Call[Auth]:
    """Ask what is left of the token that asks."""
    return Call(
        method="GET",
        path="auth/token/lookup-self",
        what="its own token",
        read=_looked_up,
    )


def renew_self() -> Call[Auth]:
    """Ask for more time for the token that asks; as much as its role gives."""

    def taken(reply: Reply) -> Auth:
        if reply.status == 500:
            if _PAST_MAX in complaint(reply):
                raise SecretError(
                    "the token is at the end of its longest life", hint="log in again"
                )
            raise refusal(call, reply)
        return _auth_in(reply)

    call = Call(
        method="POST",
        path="auth/token/renew-self",
        what="more time for its own token",
        read=taken,
        body={},
        reads=frozenset({500}),
    )
    return call


def revoke_self() -> Call[None]:
    """End the token that asks, and every lease that was made with it."""
    return Call(
        method="POST",
        path="auth/token/revoke-self",
        what="the end of its own token",
        read=lambda _: None,
        body={},
    )


def wrapped_from(token: str) -> Call[str]:
    """Ask at which path the answer was made that a wrapping token stands for."""

    def taken(reply: Reply) -> str:
        if reply.status in _REFUSED:
            raise _spent()
        return text_of(part(reply, "data"), "creation_path")

    return Call(
        method="POST",
        path="sys/wrapping/lookup",
        what="wrapping token",
        read=taken,
        body={"token": token},
        token="",
        reads=_REFUSED,
    )


def unwrap(token: str) -> Call[dict[str, Any]]:
    """Open what a wrapping token stands for. It can be done once."""

    def taken(reply: Reply) -> dict[str, Any]:
        if reply.status in _REFUSED:
            raise _spent()
        return part(reply, "data")

    return Call(
        method="POST",
        path="sys/wrapping/unwrap",
        what="wrapping token",
        read=taken,
        body={},
        token=token,
        reads=_REFUSED,
    )


def _login(mount: str, body: dict[str, str], *, hint: str) -> Call[Auth]:
    def taken(reply: Reply) -> Auth:
        if reply.status in _REFUSED:
            said = said_in(call, reply)
            raise SecretDeniedError(
                f"Vault does not let us log in by {mount}" + (f": {said}" if said else ""),
                hint=hint,
            )
        auth = _auth_in(reply)
        # No life at all is how the API says that there is no end.
        return auth if auth.life_s else replace(auth, life_s=NEVER)

    call = Call(
        method="POST",
        path=path_of("auth", mount, "login"),
        what=f"login by {mount}",
        read=taken,
        body=body,
        token="",
        reads=_REFUSED,
    )
    return call


def _auth_in(reply: Reply) -> Auth:
    auth = part(reply, "auth")
    token = text_of(auth, "client_token")
    if not token and auth.get("mfa_requirement"):
        raise SecretDeniedError(
            "Vault asks for a second factor, which a program has not",
            hint="log in by a role without one",
        )
    if not is_token(token):
        raise odd_answer("auth.client_token")
    return Auth(
        token=token,
        life_s=float(whole_of(auth, "lease_duration")),
        can_renew=auth.get("renewable") is True,
    )


def _looked_up(reply: Reply) -> Auth:
    data = part(reply, "data")
    left_s = float(whole_of(data, "ttl"))
    return Auth(
        token=text_of(data, "id"),
        life_s=left_s if left_s or data.get("expire_time") else NEVER,
        can_renew=data.get("renewable") is True,
    )


def _spent() -> SecretDeniedError:
    return SecretDeniedError(
        "the wrapping token was opened already, or has expired",
        hint="make a new one; if nobody here opened it, somebody else did: treat it as stolen",
    )
