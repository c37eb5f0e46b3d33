"""What degraded operation tells the daemon, and what people answer there.

Nothing is loaded in a process without a manager: the lane looks whether there is one.
"""

import sys
from typing import TYPE_CHECKING, Any, Final, cast

from resile.clients import wire
from resile.clients.lane import Lane
from resile.errors import ConfigError

if TYPE_CHECKING:
    from resile.degradation.manager import Degradation

DEGRADATION: Final = "degradation"
"""The topic of the states of services and open notices, and of answers to these."""
SERVICES_MAX: Final = 200
NOTICES_MAX: Final = 50
"""Of one process; a value of a topic may have 64 KiB."""
_MANAGERS: Final = "resile.degradation.manager"


class DegradationFeed:
    """Says how services serve this process. Its work is done in the lane's thread.

    Args:
        lane: Where to.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._said: dict[str, Any] | None = None

    def start(self) -> None:
        """Begin to look, and to take answers."""
        self._lane.on(DEGRADATION, obey)
        self._lane.work(self.look)

    def look(self) -> None:
        """Publish what is so, if it is something else than before."""
        managers = _managers()
        if not managers and self._said is None:
            return
        story = _together([manager.story() for manager in managers])
        if story != self._said:
            self._said = story
            self._lane.publish(DEGRADATION, story)


def obey(order: Any) -> None:
    """Do what a person answered to a notice.

    Raises:
        ConfigError: If it is no answer, or its notice is not open.
    """
    match order:
        case {"notice": str() as notice_id, "choice": str() as choice}:
            who = wire.text_of(order.get("who"), length_max=100)
            for manager in _managers():
                if any(notice.id == notice_id for notice in manager.notices()):
                    manager.choose(notice_id, choice, who=who)
                    return
            raise ConfigError("the notice is not open any more", hint="it may be well again")
        case _:
            raise ConfigError("the answer cannot be read", hint="is the daemon of another version?")


def _managers() -> "tuple[Degradation, ...]":
    home = sys.modules.get(_MANAGERS)
    return () if home is None else cast("tuple[Degradation, ...]", home.managers())


def _together(stories: list[dict[str, Any]]) -> dict[str, Any]:
    """Make one story of all managers; of too many services, those that are not well."""
    ranks = ("CRITICAL", "FAILED", "DEGRADED", "HEALTHY")
    services = [service for story in stories for service in story["services"]]
    services.sort(key=lambda service: ranks.index(service["state"]))
    return {
        "system": min((story["system"] for story in stories), key=ranks.index, default="HEALTHY"),
        "services": [_clipped(service) for service in services[:SERVICES_MAX]],
        "notices": [_clipped(notice, 600) for story in stories for notice in story["notices"]][
            :NOTICES_MAX
        ],
    }


def _clipped(facts: dict[str, Any], length_max: int = wire.TEXT_LENGTH_MAX) -> dict[str, Any]:
    return {
        name: wire.text_of(value, length_max=length_max) if isinstance(value, str) else value
        for name, value in facts.items()
    }
