"""Read Vault's answers, and turn its refusals into our errors. Pure.

What a server says of an error is repeated in ours, unless anything that was sent stands in it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from resile.clients.vault.model import Call, Reply
from resile.core.passwords import without_password
from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretDeniedError,
    SecretError,
    UnknownSecretError,
)

T = TypeVar("T")

SAID_LENGTH_MAX = 200
RETRY_AFTER_S_MAX = 3600.0
_LEAF_LENGTH_MIN = 4
"""Shorter texts, such as `kv`, are in many sentences and betray nothing."""
_ELSEWHERE = "point `address` at the active server, or at a load balancer that finds it"
_DOWN = {
    412: "is not up to date yet",
    429: "is asked too often",
    472: "only stands by for a disaster",
    473: "only stands by",
    502: "is not reached by its proxy",
    503: "is sealed, or has no active server",
    504: "is not reached by its proxy in time",
}


def taken(call: Call[T], reply: Reply) -> T:
    """Read an answer.

    Raises:
        SecretError: What it refuses, as the class that says so.
    """
    if 200 <= reply.status < 300 or reply.status in call.reads:
        return call.read(reply)
    raise refusal(call, reply)


def refusal(call: Call[Any], reply: Reply) -> SecretError:
    """Give the error for an answer that is none of those that were hoped for."""
    said = said_in(call, reply)
    where = f"{call.what}: {said}" if said else call.what
    if reply.status == 404:
        return UnknownSecretError(
            f"Vault has no {where}", hint="check the name, and where the engine is mounted"
        )
    if reply.status == 403:
        return SecretDeniedError(
            f"Vault denies {where}", hint="let a policy of its role allow the path"
        )
    if reply.status == 400 and "check-and-set" in complaint(reply):
        return SecretConflictError(
            f"{call.what} was changed by somebody else meanwhile; nothing was written",
            hint="read it again",
        )
    if 300 <= reply.status < 400:
        return ProviderDownError(
            f"Vault sends elsewhere for {call.what}, which is not followed with a token",
            hint=_ELSEWHERE,
        )
    if reply.status in _DOWN or reply.status >= 500:
        return _down(reply, said)
    return SecretError(f"Vault refuses {where} ({reply.status})", hint="see its audit log")


def _down(reply: Reply, said: str) -> ProviderDownError:
    state = _DOWN.get(reply.status, "has an error of its own")
    told = f": {said}" if said else ""
    hint = {429: "raise its quota, or ask less often", 503: "unseal it: bao operator unseal"}
    return ProviderDownError(
        f"Vault {state} ({reply.status}){told}",
        hint=hint.get(reply.status, "see its log"),
        retry_after_s=reply.retry_after_s,
    )


def said_in(call: Call[Any], reply: Reply) -> str:
    """Give what the server says of its refusal, on one line; empty if that would betray anything."""
    text = complaint(reply)
    sent = (call.token or "", *_leaves(call.body))
    if any(leaf in text for leaf in sent if len(leaf) >= _LEAF_LENGTH_MIN):
        return ""
    printable = "".join(letter for letter in text if letter.isprintable())
    return without_password(printable)[:SAID_LENGTH_MAX]


def complaint(reply: Reply) -> str:
    """Give what the server says, as it says it: to compare, never to show."""
    errors = reply.content.get("errors") if isinstance(reply.content, dict) else None
    if not isinstance(errors, list):
        return ""
    return " ".join(" ".join(one for one in errors if isinstance(one, str)).split())


def _leaves(data: Any) -> Iterator[str]:
    """Give every text in what was sent, and every number as text."""
    if isinstance(data, Mapping):
        for item in data.values():
            yield from _leaves(item)
    elif isinstance(data, list | tuple):
        for item in data:
            yield from _leaves(item)
    elif data is not None:
        yield str(data)


def part(reply: Reply, *keys: str) -> dict[str, Any]:
    """Give an object in an answer.

    Raises:
        SecretError: If it is not there.
    """
    found = reply.content
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise odd_answer(".".join(keys))
    return found


def text_of(data: Mapping[str, Any], key: str) -> str:
    """Give a text of an answer; empty if it has none."""
    found = data.get(key)
    return found if isinstance(found, str) else ""


def whole_of(data: Mapping[str, Any], key: str) -> int:
    """Give a whole number of an answer, 0 or more; 0 if it has none."""
    found = data.get(key)
    return max(found, 0) if isinstance(found, int) else 0


def time_of(data: Mapping[str, Any], key: str) -> datetime | None:
    """Give a time of an answer; None if it has none."""
    try:
        found = datetime.fromisoformat(text_of(data, key))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def odd_answer(where: str) -> SecretError:
    """Give the error for an answer that is not as Vault's API says."""
    return SecretError(
        f"the answer has no {where}, as Vault's API has it",
        hint="is `address` that of Vault or OpenBao, and the engine a KV of version 2?",
    )
