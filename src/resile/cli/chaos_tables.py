"""What `resile chaos` shows: faults, what this machine can, what is active, and how experiments went."""

from collections.abc import Mapping, Sequence
from typing import Any

from resile.chaos import Fault, Host, Report, TargetKind, UndoRecord
from resile.chaos.watching import is_watched
from resile.core.codec import encode
from resile.core.process import boot_id
from resile.core.units import format_duration

LIST_HEADS = ("fault", "target", "needs", "options", "what it does")
PREFLIGHT_HEADS = ("fault", "here", "why not")
STATUS_HEADS = ("id", "fault", "target", "ends in", "by", "state")
FAULT_HEADS = ("fault", "target", "active", "undone", "seen")
STEP_HEADS = ("step", "kind", "began", "took", "result")
_TARGETS = {
    TargetKind.PROCESS: "service/NAME, brain, pid/N",
    TargetKind.GROUP: "service/NAME or none",
    TargetKind.SERVICE: "service/NAME",
    TargetKind.FILE: "a file",
    TargetKind.FOLDER: "a folder",
    TargetKind.ADDRESS: "HOST:PORT",
    TargetKind.URL: "a URL",
    TargetKind.SECRET: "secret/NAME",
    TargetKind.GUARD: "guard/NAME",
}


def list_row(fault: Fault) -> tuple[str, ...]:
    """Show a fault of the catalogue."""
    options = [
        parameter.name
        if parameter.default is None
        else f"{parameter.name}={parameter.shown_default}"
        for parameter in fault.parameters
    ]
    return (fault.name, _TARGETS[fault.target], fault.privilege, " ".join(options), fault.text)


def fault_data(fault: Fault) -> Mapping[str, Any]:
    """Write a fault of the catalogue."""
    return {
        "name": fault.name,
        "text": fault.text,
        "target": fault.target,
        "needs": fault.privilege,
        "momentary": fault.is_momentary,
        "options": [
            {
                "name": parameter.name,
                "kind": parameter.kind,
                "text": parameter.text,
                "default": parameter.default,
                "choices": list(parameter.choices),
            }
            for parameter in fault.parameters
        ],
    }


def status_data(host: Host) -> dict[str, Any]:
    """Write what is active."""
    return {
        "faults": [_record_data(record, host) for record in host.ledger.records()],
        "unreadable": [str(path) for path in host.ledger.unreadable()],
        "is_watched": is_watched(host),
        "is_forbidden": host.ledger.is_stopped(),
        "why_forbidden": host.ledger.why_stopped(),
    }


def status_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Show a fault that is active."""
    left = facts["left_s"]
    return (
        facts["fault_id"],
        facts["fault"],
        facts["target"] or "machine",
        "now" if left <= 0 else format_duration(left),
        facts["who"],
        facts["state"],
    )


def status_lines(facts: Mapping[str, Any]) -> list[str]:
    """Tell what a person has to know beside the table."""
    lines = []
    if facts["faults"] and not facts["is_watched"]:
        lines.append("nobody watches these: end them with `resile chaos undo --all`")
    lines += [f"{path} cannot be read: look at what it was about" for path in facts["unreadable"]]
    if facts["is_forbidden"]:
        lines.append(f"no fault may begin: {facts['why_forbidden']} (see `resile chaos --help`)")
    return lines


def report_lines(report: Report) -> list[str]:
    """Tell how an experiment went, in lines under the tables."""
    lines = [f"warning: {warning}" for warning in report.warnings]
    if report.recovered_s is not None:
        lines.append(f"steady state after {format_duration(report.recovered_s)}")
    why = f": {report.reason}" if report.reason else ""
    lines.append(f"{report.title}: {report.verdict}{why}")
    return lines


def fault_rows(report: Report) -> list[Sequence[str]]:
    """Show the faults of an experiment."""
    return [
        (
            one.fault,
            one.target or "machine",
            _at(one.proven_s),
            _at(one.ended_s) if one.is_gone else "NOT PROVEN",
            one.obstacle or one.detail,
        )
        for one in report.faults
    ]


def step_rows(report: Report) -> list[Sequence[str]]:
    """Show the other steps of an experiment."""
    words = {True: "ok", False: "failed", None: "done"}
    return [
        (
            one.name,
            one.kind,
            _at(one.began_s),
            format_duration(one.took_s),
            f"{words[one.is_ok]} {one.detail}",
        )
        for one in report.steps
        if one.kind not in ("fault", "pause")
    ]


def _record_data(record: UndoRecord, host: Host) -> dict[str, Any]:
    is_this_boot = record.boot_id == boot_id()
    left_s = record.until_s - host.clock.monotonic() if is_this_boot else 0.0
    is_ended = host.ledger.ending(record.fault_id) is not None
    return {
        **{name: encode(getattr(record, name)) for name in _SHOWN},
        "left_s": max(0.0, left_s),
        "state": "ended" if is_ended else "active" if left_s > 0 else "overdue",
        "said": dict(host.ledger.said(record.fault_id)),
    }


_SHOWN = ("fault_id", "fault", "target", "arguments", "ttl_s", "begun_at", "experiment_id", "who")


def _at(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
