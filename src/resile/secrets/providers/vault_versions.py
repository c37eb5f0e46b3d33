"""Which version of a secret in Vault's KV engine is what. Pure.

The engine keeps no stages: its newest version is the current one and the one below it the previous one.
The token that a version was written with is a note of the secret (`custom_metadata`), so that the document
holds nothing but its fields. A note is made after its version; where it is missing, the value tells.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resile.clients.vault import Document, DocumentHistory, DocumentVersion
from resile.core.vocabulary import SecretStage
from resile.secrets.model import Version

PENDING_SUFFIX = ".pending"
"""What the path of a candidate ends with, beside the secret's own."""
NOTES_MAX = 20
"""The engine keeps ten versions unless it is told otherwise, and takes 64 notes."""
_NOTE = "resile_token_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate, as it stands at its own path.

    Args:
        token: Whose it is.
        fields: Its document.
        written: How often something was written at this path; what a compare-and-set needs.
        version: What it is to its name.
    """

    token: str
    fields: Mapping[str, Any] = field(repr=False)
    written: int
    version: Version


def candidate_in(document: Document) -> Candidate | None:
    """Read a candidate; None if somebody else's tool has put something of its own there."""
    token, fields = document.fields.get("token"), document.fields.get("fields")
    if not isinstance(token, str) or not isinstance(fields, dict):
        return None
    there = DocumentVersion(number=document.version, created_at=document.created_at, is_gone=False)
    return Candidate(
        token=token,
        fields=fields,
        written=there.number,
        version=candidate_version(token, there),
    )


def candidate_version(token: str, there: DocumentVersion) -> Version:
    """Give what a candidate is to its name. Its number is that of no other candidate."""
    mark = hashlib.sha256(token.encode()).hexdigest()[:8]
    return Version(
        number=f"{SecretStage.PENDING}-{mark}-{there.number}",
        stage=SecretStage.PENDING,
        created_at=there.created_at,
        token=token,
    )


def candidate_document(token: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write a candidate."""
    return {"token": token, "fields": dict(fields)}


def versions_of(history: DocumentHistory) -> tuple[Version, ...]:
    """Give all versions, the newest first."""
    return tuple(
        Version(
            number=str(one.number),
            stage=_stage(index, is_gone=one.is_gone),
            created_at=one.created_at,
            token=history.notes.get(f"{_NOTE}{one.number}", ""),
        )
        for index, one in enumerate(history.versions)
    )


def _stage(index: int, *, is_gone: bool) -> SecretStage:
    stages = (SecretStage.CURRENT, SecretStage.PREVIOUS)
    return SecretStage.RETIRED if is_gone or index >= len(stages) else stages[index]


def current_number(history: DocumentHistory) -> str:
    """Give the number of the current version; empty if there is none, or it was destroyed."""
    found = versions_of(history)[:1]
    return found[0].number if found and found[0].stage is SecretStage.CURRENT else ""


def of_token(history: DocumentHistory, token: str) -> Version | None:
    """Give the version that was written with a token, as far as it is noted."""
    return next((one for one in versions_of(history) if one.token == token), None)


def notes_with(history: DocumentHistory, number: int, token: str) -> dict[str, str | None]:
    """Give the changes of the notes after a version was written: its own, and old ones taken away."""
    kept = {f"{_NOTE}{one.number}" for one in history.versions[: NOTES_MAX - 1]}
    old = [key for key in history.notes if key.startswith(_NOTE) and key not in kept]
    return {**dict.fromkeys(old), f"{_NOTE}{number}": token}
