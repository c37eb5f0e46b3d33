"""What shows that a fault was noticed, when a system is well, and what a scenario has shown. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from resile.chaos.port import Service
from resile.core.events import Event
from resile.core.units import format_duration
from resile.core.vocabulary import CheckState, DrillVerdict, Phase
from resile.drill.model import Aim, Cell, Proof, Scenario

_AIMS_OF_SERVICES = (
    Aim.SERVICE,
    Aim.LOADED,
    Aim.LIMITED,
    Aim.LEAKING,
    Aim.PROBED,
    Aim.LISTENING,
)
_GIVE_UP_FACTOR, _GIVE_UP_S_MIN = 2.0, 30.0
"""A scenario that is late is waited for a while, so that one sees how late, and that nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A system at a moment.

    Args:
        at_s: When, on the monotonic clock.
        trouble: Why nobody could tell; empty if somebody could.
        brain_pid: Who decides.
        services: All of them, by name.
        reasons: What else is wrong, in words: checks that are not up.
        lacks: What works with less than it should, as its guards say.
    """

    at_s: float
    trouble: str = ""
    brain_pid: int = 0
    services: Mapping[str, Service] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured of a scenario. Times are in seconds after it was begun; -1 means never.

    Args:
        error: Why it could not be done; empty if it could.
        is_proven: It was proven to be done.
        proof: What the last look at that showed.
        detected_s: When it was noticed.
        recovered_s: When all was well again; of what is borne: how long the load was not answered, or how long it
            took after the end until all was well, whichever is longer.
        unwell: What was not well at the end; empty if all was.
        escalation: Why a person was called; empty if none was.
        left: What may be left of it; empty: nothing.
        failed: Requests that failed; -1: nobody asked.
        failure: Why the last of them did.
        acked: Writes that were acknowledged; -1: nobody counted.
        lost: Of these, not there afterwards.
        unread: Why they could not be read back.
        interrupted: Why it ended early.
    """

    error: str = ""
    is_proven: bool = False
    proof: str = ""
    detected_s: float = -1.0
    recovered_s: float = -1.0
    unwell: str = ""
    escalation: str = ""
    left: str = ""
    failed: int = -1
    failure: str = ""
    acked: int = -1
    lost: int = -1
    unread: str = ""
    interrupted: str = ""


def why_unwell(look: Look, stopped: Collection[str] = (), *, is_less_allowed: bool = False) -> str:
    """Tell what of a system is not well; empty if all is.

    Args:
        look: The system.
        stopped: Services that an operator has stopped: they are left out.
        is_less_allowed: Who works without what is back already, as a breaker waits for a while, is well.
    """
    if look.trouble:
        return look.trouble
    for service in look.services.values():
        if service.name not in stopped and service.state != CheckState.UP:
            return f"{service.name} is {service.state} ({service.phase})"
    others = look.reasons if is_less_allowed else (*look.reasons, *look.lacks)
    return others[0] if others else ""


def stopped_services(look: Look) -> frozenset[str]:
    """Name the services that nobody wants to run."""
    return frozenset(
        service.name for service in look.services.values() if service.phase == Phase.STOPPED
    )


def is_replaced(cell: Cell, before: Look, after: Look) -> bool:
    """Tell whether another process stands in the place of what was hit."""
    if cell.scenario.aim is Aim.BRAIN:
        return after.brain_pid not in (0, before.brain_pid)
    name = cell.target.removeprefix("service/")
    old, new = before.services.get(name), after.services.get(name)
    return old is not None and new is not None and new.generation > old.generation


def first_sign(cell: Cell, subject: str, events: Iterable[Event]) -> Event | None:
    """Give the first event that shows that a fault was noticed; None if there is none.

    Args:
        cell: What was done.
        subject: What the event has to be about; empty: anything.
        events: What happened since, in order.
    """
    for event in events:
        if event.kind in cell.scenario.signs and _is_about(event, subject):
            return event
    return None


def subject_of(cell: Cell) -> str:
    """Name what a sign has to be about; empty: anything, as the trouble shows elsewhere."""
    aim = cell.scenario.aim
    return cell.target if aim in _AIMS_OF_SERVICES or aim is Aim.SECRET else ""


def is_proven_by(cell: Cell, events: Iterable[Event]) -> bool:
    """Tell whether the journal proves what was done, where what was hit is gone before one can look.

    A service that the kernel killed for want of memory is another one a moment later, with counters of its own.
    """
    return cell.scenario.aim is Aim.LIMITED and any(
        event.kind == "process.exited"
        and event.subject == cell.target
        and event.body.get("oom_kills", 0) > 0
        for event in events
    )


def escalation(events: Iterable[Event]) -> str:
    """Tell why a person was called; empty if none was."""
    return next(
        (str(one.body.get("reason", "")) for one in events if one.kind == "fault.escalated"), ""
    )


def give_up_s(scenario: Scenario) -> float:
    """Say how long a scenario is waited for, from its begin on, or from its end if it is borne."""
    patience_s = max(_GIVE_UP_S_MIN, _GIVE_UP_FACTOR * scenario.recovery_s_max)
    return patience_s if scenario.proof is Proof.BORNE else scenario.detection_s_max + patience_s


def wait_s(
    scenario: Scenario, kills_s: Sequence[float], *, intensity: int, period_s: float, now_s: float
) -> float:
    """Say how long to wait until a service may be hit again without being quarantined for it.

    Args:
        scenario: What is to be done.
        kills_s: When the drill made it restart before, on the monotonic clock.
        intensity: So many restarts in `period_s` are answered with restarts.
        period_s: The window.
        now_s: The monotonic clock.
    """
    if not scenario.restarts:
        return 0.0
    recent = sorted(at for at in kills_s if at > now_s - period_s)
    too_many = len(recent) + scenario.restarts - max(intensity - 1, scenario.restarts)
    return 0.0 if too_many <= 0 else recent[too_many - 1] + period_s - now_s


def verdict_of(scenario: Scenario, seen: Seen) -> tuple[DrillVerdict, str]:
    """Say what a scenario has shown, and why; what is worst counts."""
    late_s = _recovery_s(scenario, seen)
    reasons = (
        (DrillVerdict.NOT_MENDED, f"it may still be active: {seen.left}" if seen.left else ""),
        (DrillVerdict.INTERRUPTED, seen.interrupted),
        (DrillVerdict.LOST, _lost(seen)),
        (DrillVerdict.INCONCLUSIVE, seen.error),
        (DrillVerdict.INCONCLUSIVE, "" if seen.is_proven else _unproven(seen)),
        (DrillVerdict.UNSEEN, _unseen(scenario, seen)),
        (DrillVerdict.NOT_MENDED, _unmended(seen)),
        (DrillVerdict.NOT_MENDED, _seams(scenario, seen)),
        (DrillVerdict.INCONCLUSIVE, seen.unread),
        (
            DrillVerdict.SLOW,
            _late("noticed", seen.detected_s, scenario.detection_s_max),
        ),
        (DrillVerdict.SLOW, _late("well", late_s, scenario.recovery_s_max)),
    )
    return next(((verdict, why) for verdict, why in reasons if why), (DrillVerdict.PASSED, ""))


def _recovery_s(scenario: Scenario, seen: Seen) -> float:
    if scenario.counts_from_detection and seen.detected_s >= 0:
        return seen.recovered_s - seen.detected_s
    return seen.recovered_s


def _is_about(event: Event, subject: str) -> bool:
    if not subject or event.subject == subject:
        return True
    # A check of a service is called `check/NAME.ready`, and a secret's events name it in their body.
    name = subject.partition("/")[2]
    return event.subject.startswith(f"check/{name}.") or event.body.get("name") == name


def _lost(seen: Seen) -> str:
    return f"{seen.lost} of {seen.acked} acknowledged writes are lost" if seen.lost > 0 else ""


def _unproven(seen: Seen) -> str:
    return f"it was not proven to be active: {seen.proof or 'nobody could look'}"


def _unseen(scenario: Scenario, seen: Seen) -> str:
    return "nobody noticed it" if scenario.detection_s_max > 0 and seen.detected_s < 0 else ""


def _unmended(seen: Seen) -> str:
    if seen.recovered_s >= 0:
        return ""
    called = f"; a person was called: {seen.escalation}" if seen.escalation else ""
    return f"{seen.unwell or 'it was not mended'}{called}"


def _seams(scenario: Scenario, seen: Seen) -> str:
    is_seam = scenario.is_seamless and seen.failed > 0
    return f"{seen.failed} requests failed meanwhile: {seen.failure}" if is_seam else ""


def _late(what: str, took_s: float, most_s: float) -> str:
    if most_s <= 0 or took_s <= most_s:
        return ""
    return f"{what} after {format_duration(took_s)}, and {format_duration(most_s)} are allowed"
