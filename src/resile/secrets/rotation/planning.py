"""Say what a rotation would do, and what may go wrong, without touching anything."""

from resile.core.vocabulary import RotationReason, SecretStage
from resile.secrets.model import Consumer, Version
from resile.secrets.port import Rotator
from resile.secrets.rotation.book import taken
from resile.secrets.rotation.model import Record, RotationReport


def plan(
    name: str,
    rotator: Rotator,
    *,
    reason: RotationReason,
    deadline_s: float,
    history: tuple[Version, ...],
    holding: tuple[Consumer, ...] | None,
    open_one: Record | None,
) -> RotationReport:
    """Write the plan of a rotation.

    Args:
        name: The secret.
        rotator: How it is rotated.
        reason: Why.
        deadline_s: compromise: how long consumers may take.
        history: Its versions.
        holding: Who uses it; None if nobody knows.
        open_one: The rotation of it that is open.
    """
    current = next((one.number for one in history if one.stage is SecretStage.CURRENT), "")
    waits_for = tuple(one.label for one in holding or () if one.is_live)
    return RotationReport(
        rotation_id="",
        name=name,
        outcome=None,
        number=current,
        waits_for=waits_for,
        plan=_steps(rotator.kind, current, _waiting(waits_for, reason, deadline_s)),
        warnings=tuple(_warnings(rotator, history, holding, open_one)),
    )


def _steps(kind: str, current: str, waiting: str) -> tuple[str, ...]:
    before = f"version {current}" if current else "nothing"
    return (
        f"prepared: the rotator {kind} makes a candidate, kept as pending",
        f"set: the target takes it, beside {before}",
        "verified: it is tried on the target; if it fails three times, all stays as it is",
        "promoted: it becomes the current version, and consumers are told",
        f"drained: {waiting}",
        f"retired: {before} opens nothing any more",
    )


def _waiting(waits_for: tuple[str, ...], reason: RotationReason, deadline_s: float) -> str:
    if not waits_for:
        return "nobody is known to use it, and nobody is waited for"
    whom = ", ".join(waits_for)
    if reason is RotationReason.COMPROMISE:
        return f"{whom} may take {deadline_s:g} s to acknowledge; then they are cut off"
    return f"{whom} have to acknowledge; until then the old one stays valid"


def _warnings(
    rotator: Rotator,
    history: tuple[Version, ...],
    holding: tuple[Consumer, ...] | None,
    open_one: Record | None,
) -> list[str]:
    found = []
    if open_one is not None:
        found.append(f"it would be refused: {taken(open_one).message}")
    elif candidate := next((one for one in history if one.stage is SecretStage.PENDING), None):
        found.append(f"it would be refused: candidate {candidate.number} is somebody else's")
    if not rotator.has_overlap:
        found.append(
            f"with the rotator {rotator.kind} the old and the new credential do not work side by side: "
            "requests with the old one fail from `set` on, until its users have the new one"
        )
    if holding is None:
        found.append(
            "no daemon knows who uses it: the old credential dies as soon as the new one is current"
        )
    return found
