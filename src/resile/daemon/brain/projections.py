"""What the brain folds from the journal and decides on, in the shape that the loop asks for."""

from dataclasses import dataclass, replace
from datetime import datetime

from resile.core.events import Event, NoticeSent
from resile.core.vocabulary import Part
from resile.daemon.loop import Due
from resile.incidents import IncidentBook
from resile.incidents import decide as decide_incidents
from resile.recover import World
from resile.recover import decide as decide_recovery


@dataclass(slots=True)
class Recovery:
    """Recovery's state, as the loop sees it."""

    world: World

    def apply(self, event: Event) -> None:
        """Fold one event into the state."""
        self.world.apply(event)

    def due(self, now: datetime) -> Due:
        """Tell what is due now, and when to be asked again."""
        return decide_recovery(self.world, now)


@dataclass(slots=True)
class Incidents:
    """The incidents, as the loop sees them.

    While notices are switched off none is sent; what is still so afterwards is told then.
    """

    book: IncidentBook
    world: World

    def apply(self, event: Event) -> None:
        """Fold one event into the state."""
        self.book.apply(event)

    def due(self, now: datetime) -> Due:
        """Tell what is due now, and when to be asked again."""
        decision = decide_incidents(self.book, now)
        if not self.world.switches.is_off(Part.NOTICES, now=now):
            return decision
        told = tuple(one for one in decision.payloads if not isinstance(one, NoticeSent))
        return replace(decision, payloads=told)
