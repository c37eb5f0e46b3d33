"""How services serve user's processes, as these say; and what people answer to their notices.

Implements `resile.web.DegradationView`. What comes over a lane is taken on trust by nobody: what
does not fit is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from resile.clients import wire
from resile.clients.degraded import DEGRADATION, NOTICES_MAX, SERVICES_MAX
from resile.core.events import DegradationAnswered
from resile.core.vocabulary import NoticeChoice, ServiceState
from resile.daemon.lanes.desk import Loop
from resile.errors import RejectedError

NOTICE_LENGTH_MAX: Final = 600
_WHO: Final = ("key", "pid", "program", "service")


class Topics(Protocol):
    """The part of a `LaneDesk` that is needed here."""

    def topic(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Give what each process says of a topic."""
        ...

    async def tell(self, key: int, topic: str, value: Any) -> str:
        """Give one process an order; give what went wrong, or nothing."""
        ...


class DegradationDesk:
    """All of it. Lives on the brain's event loop.

    Args:
        topics: What processes say, and the way to them.
        loop: Journals answers.
    """

    def __init__(self, topics: Topics, *, loop: Loop) -> None:
        self._topics = topics
        self._loop = loop

    def overview(self) -> Mapping[str, Any]:
        """Give the services of every process that says so, and the notices that wait for an answer."""
        said = self._topics.topic(DEGRADATION)
        return {
            "services": [row for one in said for row in _services(one)],
            "notices": [row for one in said for row in _notices(one)],
        }

    async def answer(self, notice_id: str, choice: NoticeChoice, *, who: str) -> None:
        """Journal what a person chose, then have the process do it.

        Raises:
            RejectedError: If no process has such a notice open, or it did not do it.
            JournalError: If it could not be journalled; nobody was told.
        """
        found = [row for row in self.overview()["notices"] if row["id"] == notice_id]
        if not found:
            raise RejectedError(
                "The notice is not open any more.", hint="Its service may be well again."
            )
        (row, *_) = found
        payload = DegradationAnswered(
            program=row["service"] or row["program"],
            service=row["dependency"],
            notice_id=notice_id,
            choice=choice,
            who=who,
        )
        await self._loop.record(payload, actor=f"operator:{who}" if who else "operator")
        value = {"notice": notice_id, "choice": choice.value, "who": who}
        trouble = await self._topics.tell(row["key"], DEGRADATION, value)
        if trouble:
            raise RejectedError(f"{payload.program}: {trouble}", hint="Look again: it may be well.")


def _services(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            **{name: said[name] for name in _WHO},
            "dependency": wire.text_of(one.get("name")),
            "state": one["state"],
            "reason": wire.text_of(one.get("reason")),
            "since_s": wire.number_of(one.get("since_s"), high=1e11),
            "is_fallback": one.get("fallback") is True,
        }
        for one in _listed(said, "services", SERVICES_MAX)
        if one.get("state") in set(ServiceState)
    ]


def _notices(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    states = {row["dependency"]: row["state"] for row in _services(said)}
    rows = []
    for one in _listed(said, "notices", NOTICES_MAX):
        offered = one.get("choices")
        dependency = wire.text_of(one.get("service"))
        rows.append(
            {
                **{name: said[name] for name in _WHO},
                "id": wire.text_of(one.get("id")),
                "dependency": dependency,
                "state": states.get(dependency, ServiceState.FAILED.value),
                "text": wire.text_of(one.get("text"), length_max=NOTICE_LENGTH_MAX),
                "choices": [
                    choice.value
                    for choice in NoticeChoice
                    if isinstance(offered, list) and choice.value in offered
                ],
            }
        )
    return rows


def _listed(said: Mapping[str, Any], name: str, count: int) -> list[dict[str, Any]]:
    value = said.get("value")
    items = value.get(name) if isinstance(value, dict) else None
    return (
        [one for one in items if isinstance(one, dict)][:count] if isinstance(items, list) else []
    )
