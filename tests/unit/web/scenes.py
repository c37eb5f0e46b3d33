"""Systems to look at: all well, one service killed, nothing declared, a hostile one, and runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.web.incident_scenes import ESCAPED, opened, resolved, step

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    BrainStarted,
    CheckChanged,
    FaultOpened,
    IncidentOpened,
    Payload,
    PlanDecided,
    ProcessExited,
    ProcessStarted,
    ServiceChanged,
    ServiceReady,
    Step,
)
from resile.core.vocabulary import (
    ActionKind,
    CheckGroup,
    CheckState,
    FaultKind,
    Phase,
    Priority,
    RunReason,
    RunState,
)
from resile.testing.runs import FakeRuns
from resile.testing.view import FakeSystemView

NAMES = ("dispatcher", "scanner", "reasoner", "policy", "archive")
RUNNING, LOOPING, WAITING = "run_01RUNNING", "run_01LOOPING", "run_01WAITING"
CONFLICT, COMMITTED, TIMEOUT = "run_01CONFLICT", "run_01COMMITTED", "run_01TIMEOUT"
UNSTARTED = "run_01UNSTARTED"
TURNED = "x\u202egpj.exe\u2066\u200b"
"""A right-to-left override and its like."""
HOSTILE = "<img src=x onerror=\"document.body.dataset.pwned='1'\">'&lt;"


def all_up(*, now: datetime | None = None) -> FakeSystemView:
    """Five services, four of them with a flawless past."""
    view = FakeSystemView(name="agent_runtime", now=now or datetime.now(UTC))
    past = view.now - timedelta(minutes=52)
    view.append(
        BrainStarted(pid=1001, guard_pid=1000, release="0.1", config_digest="c0ffee"), at=past
    )
    for index, name in enumerate(NAMES):
        view.put_service(name, pid=4312 + 7 * index, memory_bytes=(31 + 17 * index) << 20)
        view.put_check(
            f"{name}.live", service=name, group=CheckGroup.LIVE, latency_s=0.0012 + index * 0.0007
        )
        view.put_check(f"{name}.ready", service=name, group=CheckGroup.READY, latency_s=0.0031)
        start = ProcessStarted(service=name, generation=1, pid=4312 + 7 * index, start_ticks=1)
        view.append(start, at=past + timedelta(seconds=index))
        ready = ServiceReady(service=name, generation=1, after_s=0.42)
        view.append(ready, at=past + timedelta(seconds=index + 0.42))
    view.services["dispatcher"]["depends_on"] = ["scanner", "reasoner"]
    bars = view.bars({3: None, 4: None, 31: CheckState.DOWN, 32: CheckState.DEGRADED})
    view.services["reasoner"] |= {
        "restarts": 2,
        "uptime": {
            "availability": 0.99871,
            "bars": [{**b, "state": None} if i < 5 else b for i, b in enumerate(bars)],
        },
    }
    view.put_check("disk", reason="38 GiB free of 64 GiB", latency_s=0.0002)
    view.put_check("journal.db", reason="SELECT 1", latency_s=0.0009)
    view.incident_list.append(resolved(view.now - timedelta(minutes=28)))
    return view


def one_down(view: FakeSystemView | None = None) -> FakeSystemView:
    """The scanner was killed three seconds ago, and the dispatcher waits for it."""
    view = view or all_up()
    at = view.now - timedelta(seconds=3)
    for payload, after_s in killed("scanner", at):
        view.append(payload, at=at + timedelta(seconds=after_s))
    bars = view.bars({59: CheckState.DOWN})
    view.services["scanner"] |= {
        "state": CheckState.DOWN,
        "phase": Phase.BACKOFF,
        "pid": None,
        "memory_bytes": None,
        "cpu_share": None,
        "reason": "killed by SIGKILL",
        "since": at.isoformat(),
        "uptime": {"availability": 0.99912, "bars": bars},
    }
    view.services["dispatcher"] |= {
        "state": CheckState.SUPPRESSED,
        "reason": "scanner is down",
        "since": at.isoformat(),
        "uptime": {"availability": 1.0, "bars": view.bars({59: CheckState.SUPPRESSED})},
    }
    view.services["archive"] |= {
        "state": CheckState.DEGRADED,
        "reason": "answers in 840ms, slower than 500ms",
        "uptime": {
            "availability": 1.0,
            "bars": view.bars(
                {57: CheckState.DEGRADED, 58: CheckState.DEGRADED, 59: CheckState.DEGRADED}
            ),
        },
    }
    view.checks["scanner.live"] |= {"state": CheckState.DOWN, "reason": "connection refused"}
    view.incident_list.insert(0, opened(at))
    view.health = score(58, "FAILED", -12.4, ("availability", "scanner: DOWN: killed by SIGKILL"))
    view.services["archive"]["health"] = score(65, "DEGRADED", 1.2, ("latency", "slow"))
    view.predictions = [
        prediction(view, "service/archive", "memory", limit=512 << 20),
        prediction(view, "check/journal.db", "certificate", limit=0),
    ]
    return view


def score(
    points: int, grade: str, change: float | None, *deductions: tuple[str, str]
) -> dict[str, Any]:
    """A health score."""
    return {
        "score": points,
        "grade": grade,
        "change": change,
        "dimensions": {"availability": points},
        "deductions": [{"points": 35.0, "what": what, "why": why} for what, why in deductions],
    }


def prediction(view: FakeSystemView, target: str, resource: str, *, limit: int) -> dict[str, Any]:
    """Something that is expected to run out in four minutes."""
    return {
        "id": f"prd_{resource}",
        "resource": resource,
        "target": target,
        "detail": "" if limit else target,
        "predictor": "trend",
        "made_at": view.now.isoformat(),
        "left_s": 241.3,
        "confidence": 0.82,
        "used": 0.8 * limit,
        "limit": limit,
        "slope_per_s": limit / 1e5,
    }


def empty() -> FakeSystemView:
    """A daemon without any service."""
    return FakeSystemView(name="new", now=datetime.now(UTC))


def hostile() -> FakeSystemView:
    """Markup in every place that a stranger could write to."""
    view = FakeSystemView(name=HOSTILE, now=datetime.now(UTC))
    facts = {"reason": HOSTILE, "depends_on": [HOSTILE]}
    view.put_service(HOSTILE, CheckState.DOWN, **facts)
    view.put_check(f"{HOSTILE}.live", CheckState.DOWN, service=HOSTILE, reason=HOSTILE)
    view.put_check(HOSTILE, CheckState.DOWN, reason=HOSTILE)
    view.append(ProcessStarted(service=HOSTILE, generation=1, pid=1, start_ticks=1))
    change = ServiceChanged(
        service=HOSTILE,
        before=CheckState.UP,
        after=CheckState.DOWN,
        phase=Phase.RUNNING,
        reason=HOSTILE,
    )
    view.append(change)
    incident = opened(view.now)
    step = {"at": view.now.isoformat(), "kind": HOSTILE, "subject": HOSTILE, "seq": 1}
    incident |= {"title": HOSTILE, "acknowledged_by": HOSTILE}
    incident["timeline"] = [{**step, "text": HOSTILE}]
    view.incident_list.append(incident)
    view.health = view.services[HOSTILE]["health"] = score(0, "CRITICAL", -9.0, (HOSTILE, HOSTILE))
    view.predictions = [prediction(view, HOSTILE, "disk", limit=1 << 40) | {"detail": HOSTILE * 3}]
    return view


def with_runs(*, now: datetime | None = None) -> FakeSystemView:
    """Two contained runs at work, two that wait for a decision, four that are over."""
    view = all_up(now=now)
    runs, ago = view.contained, lambda seconds: view.now - timedelta(seconds=seconds)
    runs.put(RUNNING, RunState.RUNNING, began_at=ago(4.2), commit="auto")
    runs.put(
        LOOPING,
        RunState.RUNNING,
        began_at=ago(9.4),
        command=["python", "-c", "while True: pass"],
        commit="never",
        usage={
            "time_s": 9.4,
            "cpu_s": 4.6,
            "cpu_share": 0.5,
            "memory_bytes": 500 << 20,
            "memory_max_bytes": 505 << 20,
            "processes_max": 5,
            "output_bytes": 0,
            "disk_bytes": 0,
        },
    )
    runs.put(
        WAITING, RunState.READY, began_at=ago(190), changes=3, violations=1, tried=[tried(ago(189))]
    )
    runs.diffs[WAITING] = [{"workspace": "/srv/kb", "changes": changes()}]
    conflict = (
        "2 paths were changed by somebody else: rules.yaml was modified; notes.md was deleted"
    )
    runs.put(
        CONFLICT,
        RunState.READY,
        began_at=ago(900),
        command=["./migrate", "--to", "v2"],
        reason=RunReason.COMMIT_CONFLICT,
        message=conflict,
        changes=1,
    )
    runs.diffs[CONFLICT] = [{"workspace": "/srv/kb", "changes": changes()[:1]}]
    _put_closed(runs, view.now)
    return view


def _put_closed(runs: FakeRuns, now: datetime) -> None:
    def ago(seconds: float) -> datetime:
        return now - timedelta(seconds=seconds)

    runs.put(COMMITTED, RunState.COMMITTED, began_at=ago(3600), changes=12, commit="auto")
    runs.put(
        TIMEOUT,
        RunState.DISCARDED,
        began_at=ago(7200),
        command=["pytest", "-q"],
        reason=RunReason.TIMEOUT,
        code="TIMEOUT",
        message="ran 10s, 10s allowed; raise it with --time",
        exit_code=None,
        signal="SIGTERM",
        settled_by="",
    )
    runs.put(
        ESCAPED,
        RunState.DISCARDED,
        began_at=ago(7300),
        command=["./agent", "--task", "7"],
        reason=RunReason.VIOLATION,
        code="CRITICAL_STOP",
        message="tried syscall mount /dev/sda; everything of it was killed, and nothing is kept",
        exit_code=None,
        signal="SIGKILL",
        violations=1,
        tried=[tried(ago(7299))],
        settled_by="",
    )
    runs.put(
        UNSTARTED,
        RunState.DISCARDED,
        began_at=ago(7400),
        command=["no-such-program"],
        reason=RunReason.LAUNCH_FAILED,
        message="there is no command 'no-such-program'",
        exit_code=127,
        usage={},
        settled_by="",
    )


def hostile_runs() -> FakeSystemView:
    """Markup, and characters that turn lines around, in every place that a run can write to."""
    view = FakeSystemView(name=HOSTILE, now=datetime.now(UTC))
    facts = {"command": [HOSTILE, TURNED], "message": HOSTILE, "workspaces": [HOSTILE]}
    violation = tried(view.now) | {"detail": HOSTILE, "command": HOSTILE}
    line = step(view.now, 0, HOSTILE, HOSTILE, 1)
    view.contained.put(
        WAITING,
        RunState.READY,
        began_at=view.now,
        changes=1,
        violations=1,
        tried=[violation],
        timeline=[line],
        **facts,
    )
    change = changes()[0] | {"path": HOSTILE + TURNED, "link_target": HOSTILE, "notes": [HOSTILE]}
    change["diff"] = f"--- a\n+++ b\n@@ -1 +1 @@\n-{HOSTILE}\n+{TURNED}\x1b[2J\n"
    view.contained.diffs[WAITING] = [{"workspace": HOSTILE, "changes": [change]}]
    return view


def tried(at: datetime) -> dict[str, Any]:
    """A violation."""
    return {
        "at": at.isoformat(),
        "kind": "connect",
        "detail": "connect 169.254.169.254:80",
        "pid": 5120,
        "command": "python",
        "decision": "denied",
        "source": "seccomp",
    }


def changes() -> list[dict[str, Any]]:
    """A modified text, a new binary, and a deleted link."""
    modified = {"path": "rules.yaml", "kind": "modified", "file_type": "file"}
    created = {"path": "cache/index.bin", "kind": "created", "file_type": "file"}
    deleted = {"path": "latest", "kind": "deleted", "file_type": "link"}
    common = {"link_target": "", "notes": [], "diff": ""}
    text = "--- a/rules.yaml\n+++ b/rules.yaml\n@@ -1,3 +1,3 @@\n rules:\n-  - deny: all\n+  - allow: all\n   # end\n"
    return [
        common
        | modified
        | {
            "size_before": 31,
            "size_after": 32,
            "mode_before": 0o644,
            "mode_after": 0o644,
            "diff": text,
        },
        common
        | created
        | {"size_before": None, "size_after": 3 << 20, "mode_before": None, "mode_after": 0o600},
        common
        | deleted
        | {"size_before": None, "size_after": None, "mode_before": None, "mode_after": None},
    ]


def killed(name: str, at: datetime) -> list[tuple[Payload, float]]:
    """What the journal says of a kill, with seconds after it."""
    return [*_seen(name, at), *_answered(name, at)]


def _seen(name: str, at: datetime) -> list[tuple[Payload, float]]:
    reason = "killed by SIGKILL"
    ended = ProcessExited(service=name, generation=1, pid=4319, signal="SIGKILL", uptime_s=3118)
    changed = ServiceChanged(
        service=name,
        before=CheckState.UP,
        after=CheckState.DOWN,
        phase=Phase.BACKOFF,
        reason=reason,
    )
    fault = FaultOpened(
        fault_id="flt_1",
        fault=FaultKind.CRASH,
        target=f"service/{name}",
        priority=Priority.P1,
        began_at=at,
        reason=reason,
    )
    incident = IncidentOpened(
        incident_id="inc_1",
        fault_id="flt_1",
        target=f"service/{name}",
        severity=Priority.P1,
        title=f"{name} crashed",
        began_at=at,
    )
    return [(ended, 0.0), (changed, 0.001), (fault, 0.002), (incident, 0.003)]


def _answered(name: str, at: datetime) -> list[tuple[Payload, float]]:
    target = f"service/{name}"
    plan = PlanDecided(
        plan_id="pln_1",
        fault_id="flt_1",
        playbook="restart",
        attempt=1,
        steps=(Step(action=ActionKind.START, target=target),),
        verify_s=10,
        stable_s=1,
        target=target,
    )
    started = ActionStarted(
        action_id="act_1", action=ActionKind.START, target=target, fault_id="flt_1"
    )
    finished = ActionFinished(
        action_id="act_1", target=target, is_ok=True, took_s=0.014, fault_id="flt_1"
    )
    checked = CheckChanged(
        check=f"{name}.live",
        service=name,
        group=CheckGroup.LIVE,
        before=CheckState.UP,
        after=CheckState.DOWN,
        reason="connection refused",
        began_at=at,
    )
    return [(plan, 0.004), (started, 0.2), (finished, 0.214), (checked, 1.9)]
