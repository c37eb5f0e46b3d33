"""Events as people read them: one line each, and the JSON that the API sends."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.core.journal.port import Record
from resile.core.units import format_duration

Body = Mapping[str, Any]

TEXT_LENGTH_MAX = 300
"""A line, not a page; the body has it all."""


def event_json(record: Record) -> dict[str, Any]:
    """Give a record as the API sends it."""
    event = record.event
    return {
        "seq": record.seq,
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "subject": event.subject,
        "actor": event.actor,
        "text": describe(event.kind, event.body),
        "correlation_id": event.correlation_id,
        "version": event.version,
        "body": event.body,
        "hash": record.hash.hex(),
    }


def describe(kind: str, body: Body) -> str:
    """Say in one line what an event's body says.

    Never fails: a kind or a body that this version does not know is told field by field.
    """
    try:
        text = _WRITERS.get(kind, _fields)(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        text = _fields(body)
    return text[:TEXT_LENGTH_MAX]


def _fields(body: Body) -> str:
    plain = [(name, value) for name, value in body.items() if isinstance(value, str | int | float)]
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in plain if value != "")


def _exited(body: Body) -> str:
    if body.get("is_lost"):
        end = "ended unseen, its exit code is lost"
    elif body.get("signal"):
        end = f"killed by {body['signal']}"
    else:
        end = f"exit code {body['exit_code']}"
    extras = [
        f"after {format_duration(body['uptime_s'])}" if body.get("uptime_s") else "",
        "out of memory" if body.get("oom_kills") else "",
        "core dumped" if body.get("core_dumped") else "",
    ]
    return ", ".join([f"pid {body['pid']} {end}", *filter(None, extras)])


def _notified(body: Body) -> str:
    said = [("ready", body.get("is_ready")), ("stopping", body.get("is_stopping"))]
    return ", ".join(
        [word for word, is_said in said if is_said] + [body.get("status") or ""]
    ).strip(", ")


def _changed(body: Body) -> str:
    return _with_reason(f"{body['before']} → {body['after']}", body.get("reason"))


def _planned(body: Body) -> str:
    steps = ", ".join(f"{step['action']} {_bare(step['target'])}" for step in body["steps"])
    return f"{body['playbook']}, attempt {body['attempt']}: {steps}"


def _action_finished(body: Body) -> str:
    end = "done" if body["is_ok"] else "failed"
    took = f" in {format_duration(body['took_s'])}" if body.get("took_s") else ""
    return _with_reason(end + took, body.get("detail"))


def _within(body: Body) -> str:
    return "within" if body["is_within_rto"] else "beyond"


def _fault_closed(body: Body) -> str:
    took, target = format_duration(body["recovery_s"]), format_duration(body["rto_s"])
    return f"{body['outcome']} in {took}, {_within(body)} its {target}"


def _incident_resolved(body: Body) -> str:
    took, target = format_duration(body["duration_s"]), format_duration(body["rto_s"])
    return f"resolved after {took}, {_within(body)} its {target}"


def _requested(body: Body) -> str:
    who = f" by {body['who']}" if body.get("who") else ""
    return f"{body['verb']} {', '.join(body['services']) or 'everything'}{who}"


def _with_reason(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text


def _bare(target: str) -> str:
    return target.partition("/")[2] or target


_WRITERS: dict[str, Callable[[Body], str]] = {
    "action.finished": _action_finished,
    "action.started": lambda body: f"{body['action']} {_bare(body['target'])}",
    "brain.checkpointed": lambda _body: "state saved",
    "brain.started": lambda body: (
        f"pid {body['pid']}, adopted {len(body.get('adopted', ()))} services"
    ),
    "brain.stopped": lambda body: str(body["reason"]),
    "check.changed": _changed,
    "fault.closed": _fault_closed,
    "fault.escalated": lambda body: f"{body['priority']}, a person must look: {body['reason']}",
    "fault.opened": lambda body: f"{body['priority']} {body['fault']}: {body['reason']}",
    "guard.lost": lambda body: (
        f"pid {body['pid']} is gone, {len(body.get('killed', ()))} services killed"
    ),
    "incident.absorbed": lambda body: f"takes over {body['absorbed_id']}: {body['why']}",
    "incident.acknowledged": lambda body: f"taken on by {body['who']}",
    "incident.flapping": lambda body: "flapping" if body["is_flapping"] else "stable again",
    "incident.joined": lambda body: f"{_bare(body['target'])} joined: {body['why']}",
    "incident.opened": lambda body: f"{body['severity']} {body['title']}",
    "incident.raised": lambda body: f"raised to {body['severity']}: {body['why']}",
    "incident.reopened": lambda _body: "the same trouble came back",
    "incident.resolved": _incident_resolved,
    "notice.sent": lambda body: f"{body['transition']}: {body['text']}",
    "operator.requested": _requested,
    "plan.decided": _planned,
    "plan.finished": lambda body: _with_reason(
        "helped" if body["is_effective"] else "did not help", body.get("detail")
    ),
    "process.exited": _exited,
    "process.started": lambda body: f"pid {body['pid']}, generation {body['generation']}",
    "service.changed": _changed,
    "service.notified": _notified,
    "service.ready": lambda body: f"ready after {format_duration(body['after_s'])}",
}
