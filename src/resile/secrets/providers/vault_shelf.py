"""One secret in Vault's KV engine, with its candidate at a path of its own beside it.

Whatever is cut between two requests is found by the next call with the same token: a version without its
note by its value, and a candidate that was promoted by its note.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resile.clients.vault import Document, DocumentHistory, DocumentVersion, VaultClient, kv
from resile.core.vocabulary import SecretStage
from resile.errors import (
    SecretConflictError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.checking import unknown_secret, unknown_version
from resile.secrets.model import Version
from resile.secrets.providers.stages import revoked
from resile.secrets.providers.vault_versions import (
    PENDING_SUFFIX,
    Candidate,
    candidate_document,
    candidate_in,
    candidate_version,
    current_number,
    notes_with,
    of_token,
    versions_of,
)

Fields = Mapping[str, Any]
_RACES_MAX = 8
"""How often somebody else may be quicker before a write is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultShelf:
    """The versions of one secret. Keeps nothing: each call asks Vault.

    Args:
        name: The secret.
        client: What to call through.
        mount: Where the engine is.
    """

    name: str
    client: VaultClient
    mount: str

    # Reading -------------------------------------------------------------------------------------

    def current(self) -> Document:
        """Read the newest version."""
        return self.client.do(kv.read(self.name, mount=self.mount))

    def document(self, number: str) -> Document:
        """Read a version by its number."""
        return self.client.do(kv.read(self.name, mount=self.mount, version=int(number)))

    def history(self) -> DocumentHistory:
        """Read what is known without values; empty if there is no such secret."""
        return self._history_at(self.name)

    def candidate(self) -> Candidate | None:
        """Read the candidate; None if there is none."""
        try:
            document = self.client.do(kv.read(self._pending, mount=self.mount))
        except (UnknownSecretError, SecretRevokedError):
            return None
        found = candidate_in(document)
        if found is None:
            raise self._conflict(f"has something else than a candidate at {self._pending!r}")
        return found

    def versions(self) -> tuple[Version, ...]:
        """Give all versions, a candidate first; without it for whoever may not see candidates."""
        known = versions_of(self.history())
        try:
            candidate = self.candidate()
        except SecretDeniedError:
            candidate = None
        return (candidate.version, *known) if candidate else known

    def find(self, version: str) -> Version:
        """Give a version by its stage or its number; a retired one, too.

        Raises:
            UnknownSecretError: If there is none.
            SecretRevokedError: If nothing has this stage any more, because it was destroyed.
        """
        if version.startswith("pending"):
            candidate = self.candidate()
            if candidate and version in (candidate.version.stage, candidate.version.number):
                return candidate.version
            raise unknown_version(self.name, version)
        known = versions_of(self.history())
        if not known:
            raise unknown_secret(self.name)
        places = {SecretStage.CURRENT: 0, SecretStage.PREVIOUS: 1}
        if version in places:
            found = next(iter(known[places[SecretStage(version)] :]), None)
            if found and found.stage is SecretStage.RETIRED:
                raise revoked(self.name, version)
        else:
            found = next((one for one in known if one.number == version), None)
        if found is None:
            raise unknown_version(self.name, version)
        return found

    # Writing -------------------------------------------------------------------------------------

    def write(self, fields: Fields, *, expect: str | None, token: str) -> Version:
        """Write a new current version; the same again if this token has done that before."""
        for _ in range(_RACES_MAX):
            history = self.history()
            known = of_token(history, token)
            if known is not None:
                return self._repeated(known, fields)
            made = self._put(history, fields, expect)
            if made is not None:
                return self._noted(history, made, token)
        raise self._conflict("is changed by somebody else all the time")

    def write_candidate(self, fields: Fields, *, expect: str | None, token: str) -> Version:
        """Write a candidate, in the place of one of the same token."""
        history, before = self.history(), self.candidate()
        known = of_token(history, token)
        if known is not None:
            return self._repeated(known, fields)
        if before is not None and before.token != token:
            raise self._conflict("has a candidate of somebody else")
        if before is not None and before.fields == fields:
            return before.version
        self._expect(history, expect)
        if before is None:
            self._clear_stub()
        document = candidate_document(token, fields)
        cas = before.written if before else 0
        made = self.client.do(kv.put(self._pending, document, mount=self.mount, cas=cas))
        return candidate_version(token, made)

    def promote(self, *, expect: str | None, token: str) -> Version:
        """Make the candidate of a token the current version."""
        for _ in range(_RACES_MAX):
            # In this order: a candidate is taken away only after its version is noted.
            candidate, history = self.candidate(), self.history()
            mine = candidate if candidate and candidate.token == token else None
            known = of_token(history, token)
            if known is None and mine is None:
                raise UnknownSecretError(
                    f"secret {self.name!r} has no candidate of this rotation",
                    hint=f"see what it has: resile secrets history {self.name}",
                )
            if known is None and mine is not None:
                made = self._put(history, mine.fields, expect)
                if made is None:
                    continue
                known = self._noted(history, made, token)
            if mine is not None:
                self.forget_candidate()
            if known is not None:
                return known
        raise self._conflict("is changed by somebody else all the time")

    def destroy(self, version: str) -> None:
        """Destroy the value of a version for good."""
        try:
            found = self.find(version)
        except SecretRevokedError:
            return
        if found.stage is SecretStage.PENDING:
            self.forget_candidate()
        else:
            self.client.do(kv.destroy(self.name, int(found.number), mount=self.mount))

    def forget_candidate(self) -> None:
        """Destroy whatever was written at the path of candidates."""
        self.client.do(kv.forget(self._pending, mount=self.mount))

    def _history_at(self, path: str) -> DocumentHistory:
        try:
            return self.client.do(kv.history(path, mount=self.mount))
        except UnknownSecretError:
            return DocumentHistory()

    def _clear_stub(self) -> None:
        """Take away what is left of a candidate that another tool deleted: it counts as written."""
        left = self._history_at(self._pending).versions
        if left and all(one.is_gone for one in left):
            self.forget_candidate()

    @property
    def _pending(self) -> str:
        return self.name + PENDING_SUFFIX

    def _put(
        self, history: DocumentHistory, fields: Fields, expect: str | None
    ) -> DocumentVersion | None:
        """Write a version if the expected one is current; None if somebody else was quicker."""
        current = current_number(history)
        is_noted = bool(current) and bool(versions_of(history)[0].token)
        if current and current != expect and not is_noted and self._holds(current, fields):
            return history.versions[0]  # It was written, and cut before it was noted.
        self._expect(history, expect)
        try:
            call = kv.put(self.name, fields, mount=self.mount, cas=history.current)
            return self.client.do(call)
        except SecretConflictError:
            return None

    def _noted(self, history: DocumentHistory, made: DocumentVersion, token: str) -> Version:
        notes = notes_with(history, made.number, token)
        self.client.do(kv.note(self.name, notes, mount=self.mount))
        return Version(
            number=str(made.number),
            stage=SecretStage.CURRENT,
            created_at=made.created_at,
            token=token,
        )

    def _repeated(self, known: Version, fields: Fields) -> Version:
        """Give a version again that a token has written, if it was with this value."""
        if known.stage is not SecretStage.RETIRED and not self._holds(known.number, fields):
            raise self._conflict("was written with this token before, as something else")
        return known

    def _holds(self, number: str, fields: Fields) -> bool:
        try:
            return self.document(number).fields == fields
        except SecretRevokedError:
            return False

    def _expect(self, history: DocumentHistory, expect: str | None) -> None:
        number = current_number(history)
        if expect is not None and number != expect:
            raise self._conflict(
                f"has the current version {number or 'none'}, not {expect or 'none'}"
            )

    def _conflict(self, what: str) -> SecretConflictError:
        return SecretConflictError(
            f"secret {self.name!r} {what}; nothing was written",
            hint=f"see what it has: resile secrets history {self.name}",
        )
