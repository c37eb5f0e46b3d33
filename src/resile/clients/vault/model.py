"""What is asked of Vault, and what it answers. Frozen data; nothing in it shows a value or a token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NEVER = float("inf")
"""The life of what does not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, as it came.

    Args:
        status: Of HTTP.
        content: What its JSON says; None if it has none, or it cannot be read.
        retry_after_s: When it asks to be tried again; 0 if it does not say.
    """

    status: int
    content: Any = field(default=None, repr=False)
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read.

    Args:
        method: Of HTTP.
        path: Below `/v1/`, quoted already.
        what: What it is about, for errors: `secret 'db/password'`.
        read: Reads an answer that is well, or whose status is in `reads`; it may raise a SecretError.
        body: Sent as JSON; None for none.
        query: Added to the path.
        token: The token to send, in place of the session's; empty for none at all. None: the session's.
        reads: Statuses from 400 on that `read` takes, too.
        is_patch: The body is a merge patch (RFC 7396).
        is_once: Though it is a GET it makes something, and is never sent a second time by itself.
    """

    method: str
    path: str
    what: str
    read: Callable[[Reply], T_co]
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    reads: frozenset[int] = frozenset()
    is_patch: bool = False
    is_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """A token, as a login or a renewal gives it.

    Args:
        token: Its text.
        life_s: How long it lives from the request on.
        can_renew: It may be given more time.
    """

    token: str = field(repr=False)
    life_s: float
    can_renew: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a server is.

    Args:
        is_initialised: It has keys.
        is_sealed: It can read nothing until somebody unseals it.
        is_standby: Another one of its cluster answers.
        version: Of its software.
        at: What its clock says, in whole seconds. Aware, UTC.
    """

    is_initialised: bool
    is_sealed: bool
    is_standby: bool
    version: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A version of a secret of the KV engine, with its fields.

    Args:
        fields: As JSON has them.
        version: Its number, 1 for the first.
        created_at: When it was written. Aware, UTC; None if the server does not say.
    """

    fields: Mapping[str, Any] = field(repr=False)
    version: int
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """What the KV engine tells of a version without its fields.

    Args:
        number: 1 for the first.
        created_at: When it was written. Aware, UTC; None if the server does not say.
        is_gone: It was deleted or destroyed.
    """

    number: int
    created_at: datetime | None
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentHistory:
    """What the KV engine tells of a secret without its fields.

    Args:
        current: The number of the newest version; 0 if nothing was ever written.
        versions: Those that it keeps, the newest first.
        notes: The `custom_metadata`.
    """

    current: int = 0
    versions: tuple[DocumentVersion, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential that was made for whoever asked.

    Args:
        fields: Such as `username` and `password`.
        lease_id: What it lives by.
        lease_s: How long, from the request on.
        can_renew: It may be given more time.
    """

    fields: Mapping[str, Any] = field(repr=False)
    lease_id: str
    lease_s: float
    can_renew: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitKey:
    """A key of the transit engine.

    Args:
        latest: Its newest version, which encrypts.
        min_decryption: The oldest version that still decrypts.
        min_encryption: The oldest version that may still encrypt; 0: only the newest.
        can_encrypt: It is not for signatures alone.
    """

    latest: int
    min_decryption: int
    min_encryption: int
    can_encrypt: bool
