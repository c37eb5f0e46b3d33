"""Show a rotation to those who asked for it, and to pages. Pure."""

from datetime import datetime

from resile.secrets.rotation.model import Record, RotationReport, RotationView


def report_of(
    record: Record, late: tuple[str, ...], *, at: datetime, now_s: float
) -> RotationReport:
    """Say what came of a rotation so far."""
    return RotationReport(
        rotation_id=record.rotation_id,
        name=record.name,
        outcome=record.outcome,
        number=record.result,
        duration_s=_duration_s(record, at, now_s),
        cut=record.cut,
        steps_ms={one.step.value: round(one.after_s * 1e3, 1) for one in record.reached},
        waits_for=late,
        why=_why(record),
    )


def view_of(record: Record, late: tuple[str, ...], *, at: datetime, now_s: float) -> RotationView:
    """Show how far a rotation is."""
    return RotationView(
        rotation_id=record.rotation_id,
        name=record.name,
        step=record.step,
        steps=record.reached,
        reason=record.reason,
        who=record.who,
        began_at=record.began_at,
        version=record.number,
        waits_for=late,
        why=_why(record),
        outcome=record.outcome,
        ended_at=record.ended_at,
        duration_s=_duration_s(record, at, now_s),
        cut=record.cut,
    )


def _why(record: Record) -> str:
    return record.ended_why or record.trouble or record.unwanted


def _duration_s(record: Record, at: datetime, now_s: float) -> float:
    return record.age_s(at, now_s) if record.outcome is None else record.duration_s
