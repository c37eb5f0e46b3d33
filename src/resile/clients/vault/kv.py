"""Calls of the KV engine, version 2: documents with versions, written by compare-and-set.

Source: https://openbao.org/api-docs/secret/kv/kv-v2/
"""

from collections.abc import Mapping
from typing import Any

from resile.clients.vault.answers import odd_answer, part, text_of, time_of, whole_of
from resile.clients.vault.model import Call, Document, DocumentHistory, DocumentVersion, Reply
from resile.clients.vault.paths import path_of
from resile.errors import SecretRevokedError, UnknownSecretError

_NOT_FOUND = frozenset({404})


def read(name: str, *, mount: str, version: int = 0) -> Call[Document]:
    """Read a version with its fields; 0 is the newest one.

    It raises SecretRevokedError if the version was deleted or destroyed, and UnknownSecretError if
    there never was one.
    """
    what = _called(name, version)

    def taken(reply: Reply) -> Document:
        if reply.status == 404:
            raise _absence(what, reply)
        meta = part(reply, "data", "metadata")
        return Document(
            fields=part(reply, "data", "data"),
            version=whole_of(meta, "version"),
            created_at=time_of(meta, "created_time"),
        )

    query = {"version": str(version)} if version else {}
    path = path_of(mount, "data", name)
    return Call(method="GET", path=path, what=what, read=taken, query=query, reads=_NOT_FOUND)


def put(
    name: str, fields: Mapping[str, Any], *, mount: str, cas: int | None = None
) -> Call[DocumentVersion]:
    """Write a new version.

    Args:
        name: The secret.
        fields: What it holds.
        mount: Where the engine is.
        cas: The number that must be the newest, 0 for none at all; None: whatever is. The call raises
            SecretConflictError if it is another one.
    """
    options = {} if cas is None else {"options": {"cas": cas}}
    return Call(
        method="POST",
        path=path_of(mount, "data", name),
        what=_called(name),
        read=_written_in,
        body={"data": dict(fields), **options},
    )


def history(name: str, *, mount: str) -> Call[DocumentHistory]:
    """Read what is known of a secret without its fields; it raises UnknownSecretError if nothing is."""
    return Call(
        method="GET",
        path=path_of(mount, "metadata", name),
        what=_called(name),
        read=_history_in,
    )


def note(name: str, notes: Mapping[str, str | None], *, mount: str) -> Call[None]:
    """Add to the `custom_metadata` of a secret, and take away what is None; the rest of it stays.

    The engine takes 64 notes, keys of 128 bytes and texts of 512.
    """
    return Call(
        method="PATCH",
        path=path_of(mount, "metadata", name),
        what=f"a note (capability patch) on {_called(name)}",
        read=lambda _: None,
        body={"custom_metadata": dict(notes)},
        is_patch=True,
    )


def delete(name: str, *versions: int, mount: str) -> Call[None]:
    """Delete versions, so that nobody reads them; the engine could bring them back."""
    return _gone("delete", name, versions, mount)


def destroy(name: str, *versions: int, mount: str) -> Call[None]:
    """Destroy the fields of versions for good."""
    return _gone("destroy", name, versions, mount)


def forget(name: str, *, mount: str) -> Call[None]:
    """Destroy all versions of a secret, and what is known of it; nothing happens if there is none."""
    return Call(
        method="DELETE",
        path=path_of(mount, "metadata", name),
        what=_called(name),
        read=lambda _: None,
    )


def listed(folder: str, *, mount: str) -> Call[tuple[str, ...]]:
    """List what is in a folder, "" for the topmost; folders end with a slash."""

    def taken(reply: Reply) -> tuple[str, ...]:
        if reply.status == 404:
            return ()
        keys = part(reply, "data").get("keys")
        if not isinstance(keys, list):
            raise odd_answer("data.keys")
        return tuple(key for key in keys if isinstance(key, str))

    return Call(
        method="GET",
        path=path_of(mount, "metadata", *([folder] if folder else [])),
        what=f"list of {folder or mount!r}",
        read=taken,
        query={"list": "true"},
        reads=_NOT_FOUND,
    )


def _gone(verb: str, name: str, versions: tuple[int, ...], mount: str) -> Call[None]:
    return Call(
        method="PUT",
        path=path_of(mount, verb, name),
        what=_called(name),
        read=lambda _: None,
        body={"versions": list(versions)},
    )


def _written_in(reply: Reply) -> DocumentVersion:
    data = part(reply, "data")
    return DocumentVersion(
        number=whole_of(data, "version"), created_at=time_of(data, "created_time"), is_gone=False
    )


def _called(name: str, version: int = 0) -> str:
    return f"secret {name!r}" + (f", version {version}" if version else "")


def _absence(what: str, reply: Reply) -> UnknownSecretError | SecretRevokedError:
    """Tell a version that is gone from one that never was: only of the former there is anything."""
    if isinstance(reply.content, dict) and reply.content.get("data"):
        return SecretRevokedError(
            f"{what} was deleted or destroyed in Vault", hint="put a new one, or roll back"
        )
    return UnknownSecretError(
        f"Vault has no {what}",
        hint="check the name, and that a KV engine of version 2 is mounted at `mount`",
    )


def _history_in(reply: Reply) -> DocumentHistory:
    data = part(reply, "data")
    versions = part(reply, "data", "versions") if data.get("versions") else {}
    notes = part(reply, "data", "custom_metadata") if data.get("custom_metadata") else {}
    known = (
        DocumentVersion(
            number=int(number),
            created_at=time_of(about, "created_time"),
            is_gone=bool(about.get("destroyed")) or bool(text_of(about, "deletion_time")),
        )
        for number, about in versions.items()
        if number.isdecimal() and isinstance(about, dict)
    )
    return DocumentHistory(
        current=whole_of(data, "current_version"),
        versions=tuple(sorted(known, key=lambda one: -one.number)),
        notes={key: text for key, text in notes.items() if isinstance(text, str)},
    )
