"""Calls about credentials that are made for whoever asks, and the leases that they live by.

Source: https://openbao.org/api-docs/system/leases/
"""

from math import ceil
from typing import Any

from resile.clients.vault.answers import complaint, part, refusal, text_of, whole_of
from resile.clients.vault.model import Call, Credential, Reply
from resile.clients.vault.paths import path_of
from resile.errors import SecretRevokedError

_REFUSED = frozenset({400})
_ENDED = ("lease not found", "invalid lease", "lease expired", "not renewable")
"""What a server says of a lease from which nothing can be had any more: it has no status for that."""


def issue(path: str) -> Call[Credential]:
    """Have a credential made at a path such as `database/creds/app`. Each call makes another one."""

    def taken(reply: Reply) -> Credential:
        data = part(reply)
        return Credential(
            fields=part(reply, "data"),
            lease_id=text_of(data, "lease_id"),
            lease_s=float(whole_of(data, "lease_duration")),
            can_renew=data.get("renewable") is True,
        )

    return Call(
        method="GET",
        path=path_of(path),
        what=f"credential {path!r}",
        read=taken,
        is_once=True,
    )


def renew(lease_id: str, *, for_s: float) -> Call[float]:
    """Ask for more time; gives the seconds that were granted, counted from the request on.

    It raises SecretRevokedError if the lease has ended, or can get no more time.
    """
    body = {"lease_id": lease_id, "increment": max(ceil(for_s), 1)}
    return _about("renew", lease_id, body, "lease_duration", part_keys=())


def look_up(lease_id: str) -> Call[float]:
    """Ask how many seconds are left; it raises SecretRevokedError if the lease has ended."""
    return _about("lookup", lease_id, {"lease_id": lease_id}, "ttl", part_keys=("data",))


def revoke(lease_id: str) -> Call[None]:
    """End a lease; its credential opens nothing any more when the answer is there. Idempotent."""
    return Call(
        method="POST",
        path="sys/leases/revoke",
        what=_called(lease_id),
        read=lambda _: None,
        body={"lease_id": lease_id, "sync": True},
    )


def _about(
    verb: str, lease_id: str, body: dict[str, Any], key: str, *, part_keys: tuple[str, ...]
) -> Call[float]:
    def taken(reply: Reply) -> float:
        if reply.status == 400:
            if any(word in complaint(reply) for word in _ENDED):
                raise SecretRevokedError(
                    f"the {call.what} has ended, or gets no more time", hint="read it again"
                )
            raise refusal(call, reply)
        return float(whole_of(part(reply, *part_keys), key))

    call = Call(
        method="POST",
        path=f"sys/leases/{verb}",
        what=_called(lease_id),
        read=taken,
        body=body,
        reads=_REFUSED,
    )
    return call


def _called(lease_id: str) -> str:
    """Name a lease without what is unique to it."""
    return f"lease of {lease_id.rpartition('/')[0]!r}"
