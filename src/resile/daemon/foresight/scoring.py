"""Gather what is known of each service and of the system, for their scores. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resile.core.units import format_duration
from resile.core.vocabulary import CheckState, FaultKind, Phase, Priority
from resile.daemon.foresight.plan import ForesightPlan
from resile.health import CheckSpec
from resile.health.score import Dimension, Facts, Item, Oddity, Score, score
from resile.incidents import KnownFault
from resile.recover import World, check_state_of, service_of, service_target, state_of

SYSTEM = "system"
SATURATED_SHARE = 0.8
"""What is above it costs points, all of them at the limit."""
CRASHES_MAX = 3
"""So many bad ends within the remembered time leave no point."""
CRITICAL_WEIGHT = 3.0
"""What a critical service counts in the system, beside others."""
_MARKS = {
    CheckState.UP: 1.0,
    CheckState.DEGRADED: 0.5,
    CheckState.UNKNOWN: 0.25,
    CheckState.SUPPRESSED: 0.0,
    CheckState.DOWN: 0.0,
}
"""MAINTENANCE is missing: it is expected, and counts for nothing."""
_GRAVEST_FIRST = (
    CheckState.DOWN,
    CheckState.SUPPRESSED,
    CheckState.DEGRADED,
    CheckState.UNKNOWN,
)
_DATA_FAULTS = (
    FaultKind.STORE_DAMAGED,
    FaultKind.STORE_LOST,
    FaultKind.STORE_UNREACHABLE,
    FaultKind.SNAPSHOTS_FAIL,
    FaultKind.DATA_MISMATCHED,
)
_SECRET_FAULTS = (
    FaultKind.COMPROMISE,
    FaultKind.MISUSE,
    FaultKind.ROTATION_STUCK,
    FaultKind.PROVIDER_DOWN,
)
_ODD_MARK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that scores are made of.

    Args:
        world: What recovery knows.
        faults: Of the incidents, the open ones.
        oddities: By check.
        shares: Of each limit that is used, with a name for it, by target.
        crashes: How often a service ended badly lately, by its name.
        left_s: Until the first resource of a target is expected to run out.
    """

    world: World
    faults: Sequence[KnownFault] = ()
    oddities: Mapping[str, Oddity] = field(default_factory=dict)
    shares: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    crashes: Mapping[str, int] = field(default_factory=dict)
    left_s: Mapping[str, float] = field(default_factory=dict)


def scores(plan: ForesightPlan, seen: Seen) -> dict[str, Score]:
    """Score every service of which anything is known, and the system, by target."""
    found = {
        service_target(name): score(service_facts(name, plan, seen)) for name in seen.world.services
    }
    known = {target: one for target, one in found.items() if one is not None}
    system = score(system_facts(plan, seen, known))
    return known if system is None else {**known, SYSTEM: system}


def service_facts(name: str, plan: ForesightPlan, seen: Seen) -> Facts:
    """Gather what is known of a service; nothing if it is in maintenance, or on its first way up."""
    world, target = seen.world, service_target(name)
    state, reason = state_of(world, name)
    is_coming = world.phase(name) in (Phase.WAITING, Phase.STARTING)
    if state not in _MARKS or (state is CheckState.UNKNOWN and is_coming):
        return Facts()
    faults = [fault for fault in seen.faults if _is_of_service(fault, name, plan)]
    specs = [spec for spec in plan.checks if spec.service == name]
    has_secrets = any(name in services for services in plan.secret_services.values())
    why = f"{state}: {reason}" if reason else str(state)
    return Facts(
        items=(
            Item(dimension=Dimension.AVAILABILITY, mark=_MARKS[state], why=why),
            *_errors(name, specs, seen),
            *_latencies(specs, seen),
            *_saturation(target, seen),
            *_troubles(Dimension.SECRETS, faults, is_known=has_secrets),
        ),
        critical=state if world.service_spec(name).is_critical else CheckState.UP,
        worst=_most_urgent(faults),
        left_s=seen.left_s.get(target),
    )


def system_facts(plan: ForesightPlan, seen: Seen, known: Mapping[str, Score]) -> Facts:
    """Gather what is known of the whole: its services as they were scored, and what belongs to none."""
    data = [fault for fault in seen.faults if fault.kind in _DATA_FAULTS]
    secrets = [fault for fault in seen.faults if fault.kind in _SECRET_FAULTS]
    others = [target for target in seen.shares if target not in known]
    return Facts(
        items=(
            *(item for target, one in known.items() for item in _of_service(target, one, seen)),
            *_system_checks(plan, seen),
            *(item for target in others for item in _saturation(target, seen)),
            *_troubles(Dimension.DATA, data, is_known=plan.has_data),
            *_troubles(Dimension.SECRETS, secrets, is_known=bool(plan.secret_services)),
        ),
        critical=_gravest(seen.world),
        worst=_most_urgent([*data, *secrets]),
        left_s=min(seen.left_s.values(), default=None),
    )


def _of_service(target: str, one: Score, seen: Seen) -> Iterator[Item]:
    name = service_of(target) or target
    weight = CRITICAL_WEIGHT if seen.world.service_spec(name).is_critical else 1.0
    for dimension, mark in one.dimensions.items():
        if dimension is not Dimension.SECRETS:  # The system has them all itself.
            whys = [gone.why for gone in one.deductions if gone.what == dimension]
            yield Item(
                dimension=dimension, mark=mark, why=f"{name}: {'; '.join(whys)}", weight=weight
            )


def _system_checks(plan: ForesightPlan, seen: Seen) -> Iterator[Item]:
    for spec in plan.checks:
        if spec.service:
            continue
        state, reason = check_state_of(seen.world, spec.id)
        is_new = state is CheckState.UNKNOWN and spec.id not in seen.oddities
        if state in _MARKS and not is_new:
            why = f"{spec.id}: {state}, {reason}"
            yield Item(dimension=Dimension.AVAILABILITY, mark=_MARKS[state], why=why)
        yield from _check_errors(spec, seen)
        yield from _check_latency(spec, seen)


def _errors(name: str, specs: Iterable[CheckSpec], seen: Seen) -> Iterator[Item]:
    count = seen.crashes.get(name, 0)
    mark = max(0.0, 1 - count / CRASHES_MAX)
    times = "once" if count == 1 else f"{count} times"
    yield Item(dimension=Dimension.ERRORS, mark=mark, why=f"it failed {times} lately")
    for spec in specs:
        yield from _check_errors(spec, seen)


def _check_errors(spec: CheckSpec, seen: Seen) -> Iterator[Item]:
    oddity = seen.oddities.get(spec.id)
    if oddity is None or oddity.bad_share is None:
        return
    mark = 1 - oddity.bad_share
    why = f"{spec.id}: {oddity.bad_share:.0%} of its looks were bad"
    if oddity.is_failing:
        mark, why = min(mark, _ODD_MARK), f"{why}, which is unusual"
    yield Item(dimension=Dimension.ERRORS, mark=mark, why=why)


def _latencies(specs: Iterable[CheckSpec], seen: Seen) -> Iterator[Item]:
    for spec in specs:
        yield from _check_latency(spec, seen)


def _check_latency(spec: CheckSpec, seen: Seen) -> Iterator[Item]:
    oddity = seen.oddities.get(spec.id)
    if oddity is None or oddity.latency_s is None:
        return
    took = f"{spec.id} takes {format_duration(oddity.latency_s)}"
    is_slow = 0 < spec.degraded_after_s < oddity.latency_s
    if oddity.is_slow and oddity.usual_s is not None:
        why = f"{took}, usually {format_duration(oddity.usual_s)}"
    else:
        why = f"{took}, at most {format_duration(spec.degraded_after_s)} is wanted"
    mark = _ODD_MARK if is_slow or oddity.is_slow else 1.0
    yield Item(dimension=Dimension.LATENCY, mark=mark, why=why)


def _saturation(target: str, seen: Seen) -> Iterator[Item]:
    for name, share in seen.shares.get(target, ()):
        mark = min(1.0, max(0.0, (1 - share) / (1 - SATURATED_SHARE)))
        why = f"{share:.0%} of {name} is used"
        yield Item(dimension=Dimension.SATURATION, mark=mark, why=why)


def _troubles(
    dimension: Dimension, faults: Sequence[KnownFault], *, is_known: bool
) -> Iterator[Item]:
    for fault in faults:
        mark = 0.0 if fault.priority in (Priority.P0, Priority.P1) else _ODD_MARK
        kind = fault.kind.replace("_", " ")
        yield Item(dimension=dimension, mark=mark, why=f"{fault.target}: {kind}, {fault.reason}")
    if is_known and not faults:
        yield Item(dimension=dimension, mark=1.0)


def _is_of_service(fault: KnownFault, name: str, plan: ForesightPlan) -> bool:
    """Tell whether a trouble with secrets is that of a service: its own, or of a secret that it gets."""
    if fault.kind not in _SECRET_FAULTS:
        return False
    kind, _, rest = fault.target.partition("/")
    if kind == "secret":
        return name in plan.secret_services.get(rest, ())
    return kind == "client" and rest == service_target(name)


def _most_urgent(faults: Iterable[KnownFault]) -> Priority | None:
    return min((fault.priority for fault in faults), key=lambda one: one.value, default=None)


def _gravest(world: World) -> CheckState:
    states = {
        state_of(world, name)[0] for name in world.services if world.service_spec(name).is_critical
    }
    return next((state for state in _GRAVEST_FIRST if state in states), CheckState.UP)
