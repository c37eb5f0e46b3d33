"""Say in one sentence what an event tells: for the page, the command and the terminal. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from resile.core import events
from resile.core.chaos_sentences import SENTENCES as CHAOS_SENTENCES
from resile.core.drill_sentences import SENTENCES as DRILL_SENTENCES
from resile.core.prediction_sentences import SENTENCES as PREDICTION_SENTENCES
from resile.core.secret_sentences import SENTENCES as SECRET_SENTENCES
from resile.core.switch_sentences import SENTENCES as SWITCH_SENTENCES
from resile.core.units import format_duration, format_size
from resile.core.vocabulary import ActionKind, Outcome

TEXT_LENGTH_MAX = 300
"""A line, not a page; the body has it all."""


def sentence(event: events.Event) -> str:
    """Tell an event in one line for people.

    Empty for a kind, or a body of another version, that this version does not know.
    """
    try:
        payload = event.payload()
    except ValueError:
        return ""
    tell = _SENTENCES.get(type(payload))
    return "" if tell is None else tell(payload)[:TEXT_LENGTH_MAX]


def _exited(payload: events.ProcessExited) -> str:
    lived = f", after {format_duration(payload.uptime_s)}" if payload.uptime_s else ""
    if payload.explanation:
        verb = "was " if payload.explanation.startswith("killed") else ""
        return f"{payload.service} (pid {payload.pid}) {verb}{payload.explanation}{lived}"
    how = "nobody saw how"
    if payload.signal:
        how = f"killed by {payload.signal}"
    elif payload.exit_code is not None:
        how = f"exit code {payload.exit_code}"
    extras = [f"after {format_duration(payload.uptime_s)}"] if payload.uptime_s else []
    if payload.oom_kills:
        extras.append("for want of memory")
    return " ".join([f"{payload.service} (pid {payload.pid}) ended: {how}", *extras])


def _at_risk(payload: events.ObjectiveAtRisk) -> str:
    limit = format_duration(payload.limit_s)
    when = "nothing tells when it is over"
    if payload.expected_at is not None:
        late_s = (payload.expected_at - payload.ends_at).total_seconds()
        when = f"expected {format_duration(max(0.0, late_s))} too late"
    return f"{payload.objective.upper()} of {limit} may be missed for {_name(payload.target)}: {when}; {payload.reason}"


def _decided(payload: events.PlanDecided) -> str:
    steps = _steps(payload.steps)
    if payload.is_undo:
        return f"plan {payload.playbook} is undone: {steps}"
    why = f" ({payload.why})" if payload.why else ""
    return f"plan {payload.playbook} (attempt {payload.attempt}): {steps}{why}"


def _proposed(payload: events.PlanProposed) -> str:
    steps = _steps(payload.steps)
    asks = f"`resile playbooks approve {payload.plan_id}` lets it be done"
    return f"plan {payload.playbook} waits for a person: {steps}; {asks}"


def _answered(payload: events.ProposalAnswered) -> str:
    answer = "approved" if payload.is_approved else "refused"
    return f"{payload.who or 'somebody'} {answer} the plan for {_name(payload.target)}"


def _steps(steps: Iterable[events.Step]) -> str:
    return ", then ".join(
        f"run {step.command[0]}" if step.command else f"{step.action} {_name(step.target)}"
        for step in steps
    )


def _acted(payload: events.ActionStarted) -> str:
    verbs = {
        ActionKind.START: "starts",
        ActionKind.STOP: "stops",
        ActionKind.KILL: "kills",
        ActionKind.PRUNE: "makes room for",
        ActionKind.EXPLAIN: "looks into the cause at",
        ActionKind.FREE_PORT: "frees the port of",
        ActionKind.FREE_LOCK: "looks who holds the lock of",
        ActionKind.ROLL_BACK: "rolls back the declaration of",
        ActionKind.ROTATE_SECRET: "rotates the secrets of",
        ActionKind.KILL_RUNS: "kills the contained runs of",
        ActionKind.FREEZE: "freezes",
        ActionKind.COLLECT: "collects the evidence of",
        ActionKind.REARM: "looks at everything anew on",
        ActionKind.RUN: f"runs {payload.command[0] if payload.command else 'a command'} for",
    }
    return f"resile {verbs[payload.action]} {_name(payload.target)}"


def _done(payload: events.ActionFinished) -> str:
    result = "done" if payload.is_ok else "failed"
    detail = f": {payload.detail}" if payload.detail else ""
    took = f" in {format_duration(payload.took_s)}" if payload.took_s else ""
    return f"{_name(payload.target)}: {result}{took}{detail}"


def _closed(payload: events.FaultClosed) -> str:
    lasted = format_duration(payload.recovery_s)
    text = f"{_name(payload.target)}: {payload.fault} {payload.outcome} after {lasted}"
    if payload.outcome is Outcome.WITHDRAWN:
        return text
    against = "within" if payload.is_within_rto else "outside"
    return f"{text}, {against} the objective of {format_duration(payload.rto_s)}"


def _forgotten(payload: events.PlaybooksForgotten) -> str:
    what = f"the playbook {payload.name}" if payload.name else "all playbooks"
    return f"{payload.who or 'somebody'} had forgotten what was learned of {what}"


def _judged(payload: events.PlanFinished) -> str:
    result = "helped" if payload.is_effective else "did not help"
    return f"the plan for {_name(payload.target)} {result}: {payload.detail}"


def _ended(payload: events.IncidentResolved) -> str:
    if payload.is_withdrawn:
        lasted = format_duration(payload.duration_s)
        return f"withdrawn: an operator took its target out; it had lasted {lasted}"
    against = "within" if payload.is_within_rto else "outside"
    return (
        f"resolved; it lasted {format_duration(payload.duration_s)}, {against} the objective of "
        f"{format_duration(payload.rto_s)}"
    )


def _asked(payload: events.OperatorRequested) -> str:
    what = ", ".join(payload.services) or "everything"
    return f"{payload.who or 'an operator'} asked for {payload.verb} of {what}"


def _maintained(payload: events.MaintenanceChanged) -> str:
    name = _name(payload.target)
    why = f": {payload.why}" if payload.why else ""
    if not payload.is_on:
        by = f"{payload.who} ended " if payload.who else ""
        return f"{by}maintenance of {name}{'' if by else ' is over'}{why}"
    until = f" until {payload.until:%Y-%m-%d %H:%M:%S} UTC" if payload.until else ""
    return f"{payload.who or 'an operator'} put {name} into maintenance{until}{why}"


def _flapped(payload: events.IncidentFlapping) -> str:
    if payload.is_flapping:
        return "goes up and down; held open until it is stable"
    return "does not go up and down any more"


def _name(target: str) -> str:
    return target.partition("/")[2] or target


def _changed(payload: events.ServiceChanged | events.CheckChanged) -> str:
    name = payload.service if isinstance(payload, events.ServiceChanged) else payload.check
    reason = f": {payload.reason}" if payload.reason else ""
    if payload.before is payload.after:
        return f"{name} is still {payload.after}{reason}"
    return f"{name} is {payload.after}, was {payload.before}{reason}"


def _notified(payload: events.ServiceNotified) -> str:
    said = "ready" if payload.is_ready else "stopping" if payload.is_stopping else "something"
    status = f": {payload.status}" if payload.status else ""
    return f"{payload.service} says that it is {said}{status}"


def _ran(payload: events.RunEnded) -> str:
    detail = f": {payload.detail}" if payload.detail else ""
    changes = f", {payload.changes} changes" if payload.changes else ""
    return f"the run ended, {payload.reason}{detail}{changes}"


def _committed(payload: events.RunCommitted) -> str:
    by = f" by {payload.who}" if payload.who else ""
    rest = "" if payload.is_whole else "; the rest waits"
    return f"{payload.changes} changes committed{by}{rest}"


def _tried(payload: events.EscapeNoticed) -> str:
    shown = [
        f"{one.violation} {one.detail}" + (f" by {one.command} ({one.pid})" if one.pid else "")
        for one in payload.tried[:2]
    ]
    rest = payload.count - len(shown)
    what = "; ".join([*shown, *([f"{rest} more"] if rest > 0 else [])]) or payload.reason
    return f"{payload.run_id} ({' '.join(payload.command)[:60]}) tried {what}"


def _contained(payload: events.EscapeContained) -> str:
    why = f", {payload.reason}" if payload.reason else ""
    return f"nothing of {payload.run_id} lives any more{why}"


def _count(names: tuple[str, ...]) -> str:
    return "1 service" if len(names) == 1 else f"{len(names)} services"


def _snapshot(payload: events.SnapshotTaken) -> str:
    what = "no change" if not payload.is_changed else f"{format_size(payload.new_bytes)} new"
    missing = f", {payload.unread} paths not read" if payload.unread else ""
    return f"snapshot {payload.snapshot_id[:10]} of {payload.source}: {what}{missing}"


def _restored(payload: events.SnapshotRestored) -> str:
    lost = f", {payload.lost} lost" if payload.lost else ""
    return f"snapshot {payload.snapshot_id[:10]} restored to {payload.target}{lost}"


def _verified(payload: events.StoreVerified) -> str:
    how = f"every byte of {payload.files} files" if payload.is_full else "the structure"
    found = f"{payload.flaws} flaws" if payload.flaws else "nothing is wrong"
    return f"the store was verified, {how}: {found}"


def _opened(payload: events.PolicyOpened) -> str:
    again = payload.retry_in_s
    when = "" if again is None else f"; it probes in {format_duration(again)}"
    return f"{_breaker(payload)} opened{_because(payload.reason)}{when}"


def _forced(payload: events.PolicyForced) -> str:
    held = "" if payload.left_s is None else f" for {format_duration(payload.left_s)}"
    mode = payload.mode.replace("_", " ")
    return f"{_breaker(payload)} is {mode}{held}{_because(payload.reason)}"


def _breaker(
    payload: events.PolicyOpened
    | events.PolicyHalfOpened
    | events.PolicyClosed
    | events.PolicyForced,
) -> str:
    where = payload.service or payload.program
    return f"breaker {payload.guard} of {where} ({payload.pid})"


def _ordered(payload: events.PolicyOrdered) -> str:
    until = f" until {payload.until:%H:%M:%S} UTC" if payload.until else ""
    return f"{payload.who or 'an operator'} ordered {payload.order} of {payload.guard}{until}" + (
        _because(payload.why)
    )


def _obeyed(payload: events.PolicyObeyed) -> str:
    count = payload.done + len(payload.failed) + payload.silent
    parts = [f"{payload.done} of {count} processes did it"]
    parts += [f"{len(payload.failed)} could not: {payload.failed[0]}"] if payload.failed else []
    parts += [f"{payload.silent} did not answer"] if payload.silent else []
    return f"{payload.order} of {payload.guard}: {', '.join(parts)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


_SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    **CHAOS_SENTENCES,
    **DRILL_SENTENCES,
    **PREDICTION_SENTENCES,
    **SECRET_SENTENCES,
    **SWITCH_SENTENCES,
    events.BrainStarted: lambda p: f"brain {p.pid} is at work, adopted {_count(p.adopted)}",
    events.BrainStopped: lambda p: f"the brain ended: {p.reason}",
    events.Checkpointed: lambda _p: "state saved",
    events.CheckChanged: _changed,
    events.EscapeContained: _contained,
    events.EscapeNoticed: _tried,
    events.DataMended: lambda p: f"{p.path} has its verified content again",
    events.DataMismatched: lambda p: f"{p.path} is damaged: {p.what}",
    events.DegradationAnswered: lambda p: (
        f"{p.who or 'somebody'} chose to {p.choice} with {p.service} of {p.program}"
    ),
    events.DegradationChanged: lambda p: (
        f"{p.service} of {p.program} is {p.after}, was {p.before}"
        + (f": {p.reason}" if p.reason else "")
    ),
    events.DegradationNoticed: lambda p: f"{p.program} tells: {p.text}",
    events.GuardLost: lambda p: f"guard {p.pid} is gone; {_count(p.killed)} killed",
    events.HeartbeatReceived: lambda p: f"{p.check} had a heartbeat",
    events.JournalPruned: lambda p: f"the journal let go of its records up to {p.through_seq}",
    events.JournalSealed: lambda p: f"the journal sealed records {p.first_seq} to {p.last_seq}",
    events.MaintenanceChanged: _maintained,
    events.MemoryPressureChanged: lambda p: (
        f"memory of {_name(p.target)} is {p.after}, was {p.before}{_because(p.reason)}"
    ),
    events.RunAlerted: lambda p: f"the run uses {p.measured} of {p.limit}, {p.allowed} allowed",
    events.RunBegun: lambda p: f"contained run of {' '.join(p.command)}",
    events.RunBreached: lambda p: f"{p.label}: {p.detail}",
    events.RunCommitted: _committed,
    events.RunEnded: _ran,
    events.RunRolledBack: lambda p: f"changes undone: {p.why}",
    events.RunViolated: lambda p: f"the run tried {p.violation} {p.detail}: {p.decision}",
    events.RunsHeld: lambda p: (
        f"{p.who} holds new contained runs" + (f": {p.why}" if p.why else "")
    ),
    events.RunsResumed: lambda p: f"{p.who} lets contained runs begin again",
    events.ClockJumped: lambda p: (
        f"the clock was set {'forward' if p.by_s > 0 else 'back'} by {format_duration(abs(p.by_s))}, "
        "or the machine slept: what was due moves along"
    ),
    events.SymptomChanged: lambda p: (
        f"{_name(p.target)}: {p.fault} {'is seen' if p.is_there else 'is over'}{_because(p.reason)}"
    ),
    events.ServiceChanged: _changed,
    events.ServiceNotified: _notified,
    events.ProcessExited: _exited,
    events.ProcessStarted: lambda p: f"{p.service} runs as pid {p.pid}",
    events.ServiceReady: lambda p: f"{p.service} is ready after {format_duration(p.after_s)}",
    events.OperatorRequested: _asked,
    events.FaultOpened: lambda p: f"{_name(p.target)}: {p.fault} ({p.priority}), {p.reason}",
    events.DependentReleased: lambda p: (
        f"{_name(p.target)} may start again: "
        + (f"{', '.join(p.upstream)} is back" if p.upstream else "its port may be free again")
    ),
    events.ObjectiveAtRisk: _at_risk,
    events.ObjectiveMissed: lambda p: (
        f"{p.objective.upper()} of {format_duration(p.limit_s)} is missed for {_name(p.target)}: {p.reason}"
    ),
    events.FaultEscalated: lambda p: f"a person must look at {_name(p.target)}: {p.reason}",
    events.FaultClosed: _closed,
    events.PlanDecided: _decided,
    events.PlanFinished: _judged,
    events.PlaybooksForgotten: _forgotten,
    events.PlanProposed: _proposed,
    events.ProposalAnswered: _answered,
    events.PolicyClosed: lambda p: f"{_breaker(p)} closed{_because(p.reason)}",
    events.PolicyForced: _forced,
    events.PolicyHalfOpened: lambda p: f"{_breaker(p)} probes{_because(p.reason)}",
    events.PolicyObeyed: _obeyed,
    events.PolicyOpened: _opened,
    events.PolicyOrdered: _ordered,
    events.ActionStarted: _acted,
    events.ActionFinished: _done,
    events.IncidentOpened: lambda p: f"incident opened ({p.severity}): {p.title}",
    events.IncidentJoined: lambda p: f"{_name(p.target)} belongs to it: {p.why}",
    events.IncidentAbsorbed: lambda p: f"took over {p.absorbed_id}: {p.why}",
    events.IncidentRaised: lambda p: f"raised to {p.severity}: {p.why}",
    events.IncidentAcknowledged: lambda p: f"{p.who} took it on",
    events.IncidentFlapping: _flapped,
    events.IncidentResolved: _ended,
    events.IncidentReopened: lambda _p: "it came back",
    events.NoticeSent: lambda p: f"notice {p.transition}: {p.text}",
    events.SnapshotFailed: lambda p: f"no snapshot of {p.source}: {p.reason}",
    events.SnapshotRestored: _restored,
    events.SnapshotTaken: _snapshot,
    events.SnapshotsForgotten: lambda p: f"{len(p.snapshot_ids)} snapshots let go",
    events.StoreCollected: lambda p: f"{format_size(p.removed_bytes)} freed in the store",
    events.StoreDamaged: lambda p: f"{p.file[:24]} in the store {p.what}",
    events.StoreLost: lambda p: f"{p.paths} paths in the store are lost, the first is {p.first}",
    events.StoreMended: lambda p: f"{p.file[:24]} in the store is mended, from: {p.origin}",
    events.StoreReplicated: lambda p: f"{p.copied} files copied to the second store",
    events.StoreUnreachable: lambda p: f"the store {p.place} cannot be reached: {p.reason}",
    events.StoreVerified: _verified,
    events.TroubleEnded: lambda p: f"{_name(p.target)} is well again: {p.reason}",
    events.TroubleNoticed: lambda p: f"{_name(p.target)}: {p.fault} ({p.priority}), {p.reason}",
}
