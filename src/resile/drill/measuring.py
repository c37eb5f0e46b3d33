"""Does what one scenario says, and measures what comes of it until all is well again, or its time is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from resile.core.clock import Clock
from resile.core.events import Event
from resile.core.sentences import sentence
from resile.drill import decide
from resile.drill.decide import Look, Seen
from resile.drill.ledger import Ledger, Tally
from resile.drill.model import Cell, Moment, Proof
from resile.drill.port import Act, Begun, World
from resile.errors import ResileError

LOOK_S: Final = 0.05
SETTLE_S: Final = 2.0
"""What is well has to stay so for so long: two rounds of checks that look once a second."""
_OVER: Final = "its scenario is over"
_QUIET: Final = frozenset(
    {"check.changed", "secret.accessed", "snapshot.taken", "store.replicated", "store.verified"}
)
_QUIET_PARTS: Final = ("run.", "brain.checkpointed")
"""What happens all the time, and says nothing of a fault."""
MOMENTS_MAX: Final = 200


@dataclass(slots=True, kw_only=True)
class _Course:
    """How a scenario goes. For one thread."""

    begun: Begun
    before: Look
    events: list[Event] = field(default_factory=list)
    is_proven: bool = False
    proof: str = ""
    sign: Event | None = None
    done: int = 1
    well_since_s: float | None = None
    ended_s: float | None = None
    unwell: str = ""


class Measurement:
    """One scenario. Not thread-safe.

    Args:
        cell: What is to be done, to what.
        act: Does it.
        world: The system.
        ledger: The requests that are sent meanwhile; None: none are.
        clock: Measures and waits.
        stopped: Services that an operator has stopped.
        why_stop: Tells why it has to end early; empty if it may go on.
    """

    def __init__(
        self,
        cell: Cell,
        act: Act,
        *,
        world: World,
        ledger: Ledger | None,
        clock: Clock,
        stopped: frozenset[str],
        why_stop: Callable[[], str],
    ) -> None:
        self._cell = cell
        self._act = act
        self._world = world
        self._ledger = ledger
        self._clock = clock
        self._stopped = stopped
        self._why_stop = why_stop

    def run(self) -> tuple[Seen, datetime, tuple[Moment, ...]]:
        """Do it to its end, take it back, and give what was seen, since when, and what happened. Blocks."""
        before = self._world.look()
        self._world.mark()
        begun = Begun(at=self._clock.now(), at_s=self._clock.monotonic())
        course = _Course(begun=begun, before=before)
        error = left = ""
        try:
            course.begun = self._act.begin()
            self._follow(course)
        except ResileError as exc:
            error = exc.message
        finally:
            left = self._act.end(_OVER)
        seen = self._seen(course, error=error, left=left)
        return seen, course.begun.at, moments_of(course.events)

    def _follow(self, course: _Course) -> None:
        """Look again and again, until it is over.

        Raises:
            ResileError: If it could not be repeated.
        """
        while not self._why_stop():
            now_s = self._clock.monotonic()
            look = self._world.look()
            self._take_in(course)
            if self._is_held(course, look.at_s):
                course.well_since_s = None
            else:
                self._judge(course, look)
            if self._is_settled(course, now_s) or self._is_too_late(course, now_s):
                return
            self._clock.sleep(LOOK_S)

    def _take_in(self, course: _Course) -> None:
        """Hear what the journal says, and see whether the act is proven."""
        course.events += self._world.events()
        if not course.is_proven:
            course.is_proven, course.proof = self._act.proof()
            course.is_proven |= decide.is_proven_by(self._cell, course.events)
        if course.sign is None:
            subject = self._act.subject or decide.subject_of(self._cell)
            course.sign = decide.first_sign(self._cell, subject, course.events)

    def _is_held(self, course: _Course, now_s: float) -> bool:
        """Tell whether what has to be borne still lasts; end it when its time is over."""
        scenario = self._cell.scenario
        if scenario.proof is Proof.MENDED or course.ended_s is not None:
            return False
        if scenario.hold_s > 0:
            is_over = course.is_proven and now_s - course.begun.at_s >= scenario.hold_s
            is_over = is_over or now_s - course.begun.at_s >= decide.give_up_s(scenario)
        else:
            is_over = self._act.is_over()
        if is_over:
            self._act.end(_OVER)
            course.ended_s = self._clock.monotonic()
        return not is_over

    def _judge(self, course: _Course, look: Look) -> None:
        """See whether all is well, since when; do it once more if that is wanted."""
        scenario = self._cell.scenario
        is_mending = scenario.proof is Proof.MENDED
        course.unwell = decide.why_unwell(look, self._stopped, is_less_allowed=is_mending)
        if not course.unwell and scenario.is_replacing:
            is_new = decide.is_replaced(self._cell, course.before, look)
            course.unwell = "" if is_new else f"{self._cell.target} was not started anew"
        if not course.unwell and is_mending and scenario.detection_s_max > 0:
            course.unwell = "" if course.sign else "nobody noticed it"
        tally = self._tally(course)
        if not course.unwell and tally is not None and tally.well_s is None:
            course.unwell = "the load is not answered"
        if course.unwell:
            course.well_since_s = None
        elif course.done < scenario.times:
            self._act.begin()
            course.before = look
            course.done += 1
        elif course.well_since_s is None:
            load_s = tally.well_s if tally is not None and tally.well_s is not None else look.at_s
            course.well_since_s = max(look.at_s, load_s)

    def _is_settled(self, course: _Course, now_s: float) -> bool:
        since_s = course.well_since_s
        return since_s is not None and now_s - since_s >= SETTLE_S

    def _is_too_late(self, course: _Course, now_s: float) -> bool:
        scenario = self._cell.scenario
        is_borne = scenario.proof is not Proof.MENDED
        began_s = course.ended_s if is_borne else course.begun.at_s
        return began_s is not None and now_s - began_s >= decide.give_up_s(scenario)

    def _tally(self, course: _Course) -> Tally | None:
        return None if self._ledger is None else self._ledger.tally(course.begun.at_s)

    def _seen(self, course: _Course, *, error: str, left: str) -> Seen:
        tally = self._tally(course)
        failure = self._act.failure()
        sign_s = (course.sign.at - course.begun.at).total_seconds() if course.sign else -1.0
        return Seen(
            error=error,
            is_proven=course.is_proven,
            proof=course.proof,
            detected_s=max(0.0, sign_s) if course.sign else -1.0,
            recovered_s=-1.0 if failure else self._recovered_s(course, tally),
            unwell=failure or course.unwell,
            escalation=decide.escalation(course.events),
            left=left,
            failed=-1 if tally is None else tally.failed,
            failure="" if tally is None else tally.why,
            interrupted=self._why_stop(),
        )

    def _recovered_s(self, course: _Course, tally: Tally | None) -> float:
        if course.well_since_s is None:
            return -1.0
        if self._cell.scenario.proof is Proof.MENDED or course.ended_s is None:
            return course.well_since_s - course.begun.at_s
        if self._cell.scenario.proof is Proof.CONTAINED:
            return course.ended_s - course.begun.at_s
        outage_s = 0.0 if tally is None else tally.outage_s
        back_s = max(0.0, course.well_since_s - course.ended_s)
        return -1.0 if outage_s is None else max(back_s, outage_s)


def counted(seen: Seen, *, acked: int, lost: int, unread: str) -> Seen:
    """Add what the ledger tells."""
    return replace(seen, acked=acked, lost=lost, unread=unread)


def moments_of(events: Sequence[Event]) -> tuple[Moment, ...]:
    """Tell what happened in sentences, without what happens all the time."""
    told = [
        Moment(at=event.at, text=sentence(event))
        for event in events
        if event.kind not in _QUIET and not event.kind.startswith(_QUIET_PARTS)
    ]
    return tuple(told[:MOMENTS_MAX])
