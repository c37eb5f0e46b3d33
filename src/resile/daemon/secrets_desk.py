"""What the pages show and decide of secrets, as the secretkeeper tells it; never a value.

Implements `resile.web.SecretsView`.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from resile.core.events import Event, SecretAnomaly
from resile.core.journal import Journal, Query
from resile.core.vocabulary import RotationReason
from resile.daemon.secret_keeping import SecretKeeping
from resile.errors import JournalError, RejectedError

ANOMALIES_MAX = 50


class SecretsDesk:
    """Lives on the brain's event loop.

    Args:
        keeping: The secretkeeper.
    """

    def __init__(self, keeping: SecretKeeping) -> None:
        self._keeping = keeping
        self._anomalies: deque[Mapping[str, Any]] = deque(maxlen=ANOMALIES_MAX)

    async def serve(self) -> None:
        """Keep a secretkeeper running until cancelled; returns at once if no secret is declared."""
        await self._keeping.run()

    def read(self, journal: Journal) -> None:
        """Read what looked odd before this brain lived. Blocks; a journal that cannot be read tells nothing."""
        query = Query(kinds=(SecretAnomaly.kind,), limit=ANOMALIES_MAX, is_newest_first=True)
        try:
            for record in reversed(journal.read(query)):
                self.apply(record.event)
        except JournalError:  # Whoever appends tells the trouble.
            return

    def apply(self, event: Event) -> None:
        """Take what is journalled."""
        payload = event.payload()
        if isinstance(payload, SecretAnomaly):
            self._anomalies.appendleft(
                {
                    "at": event.at,
                    "client": payload.client,
                    "names": list(payload.names),
                    "signals": list(payload.signals),
                    "score": payload.score,
                    "response": payload.response,
                    "why": payload.why,
                }
            )

    def overview(self) -> Mapping[str, Any]:
        """Give what the secretkeeper told last, and what looked odd."""
        told = self._keeping.status
        if told is None:
            is_wanted = self._keeping.is_wanted
            reason = "the secretkeeper is being started" if is_wanted else ""
            provider = {"kind": "", "is_well": not is_wanted, "reason": reason}
            told = {"provider": provider, "secrets": [], "quarantined": [], "rotations": []}
        return {**told, "anomalies": list(self._anomalies)}

    async def rotate(
        self, name: str, *, who: str, reason: RotationReason, why: str
    ) -> Mapping[str, Any]:
        """Have it rotate a secret."""
        self._need_keeper()
        answer = await self._keeping.ask("rotate", name=name, who=who, reason=reason, why=why)
        return dict(answer["rotation"])

    async def rollback(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Have it make the value before current again."""
        self._need_keeper()
        answer = await self._keeping.ask("rollback", name=name, who=who)
        return {"name": name, "version": answer["version"]["number"]}

    async def release(self, client: str, *, who: str) -> None:
        """Have it give a client its secrets again."""
        self._need_keeper()
        await self._keeping.ask("release", client=client, who=who)

    def _need_keeper(self) -> None:
        if not self._keeping.is_wanted:
            raise RejectedError(
                "no secretkeeper runs", hint="declare a secret in resile.toml: [secret.NAME]"
            )
