"""Drills that are told, as the journal would tell them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from resile.core.events import DrillBegun, DrillEnded, DrillProved, Event, Payload, announce
from resile.core.vocabulary import DrillVerdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRASH, HANG, FULL = "crash:service/api", "hang:service/api", "disk_full:data/kb"


def ago(days: float = 0, **more: float) -> datetime:
    return NOW - timedelta(days=days, **more)


def told(payload: Payload, at: datetime) -> Event:
    return announce(payload, at=at, actor="cli")


def proved(
    cell: str, verdict: DrillVerdict = DrillVerdict.PASSED, *, drill: str = "drl_1", **facts: Any
) -> DrillProved:
    scenario, _, target = cell.partition(":")
    found: dict[str, Any] = {"fault": f"process.{scenario}"}
    if verdict is DrillVerdict.PASSED:
        found |= {"detected_s": 0.1, "recovered_s": 1.2, "recovery_s_max": 2.0}
    return DrillProved(
        drill_id=drill,
        cell=cell,
        scenario=scenario,
        target=target,
        verdict=verdict,
        **(found | facts),
    )


def drill(
    drill_id: str, at: datetime, *results: DrillProved, is_ended: bool = True, who: str = "ann"
) -> list[Event]:
    """A drill whose scenarios take ten seconds each."""
    cells = tuple(result.cell for result in results)
    events = [told(DrillBegun(drill_id=drill_id, who=who, cells=cells), at)]
    for number, result in enumerate(results, start=1):
        events.append(told(result, at + timedelta(seconds=10 * number)))
    if is_ended:
        passed = sum(result.verdict is DrillVerdict.PASSED for result in results)
        skipped = sum(result.verdict is DrillVerdict.SKIPPED for result in results)
        end = DrillEnded(
            drill_id=drill_id,
            score=100 * passed // max(1, len(results)),
            passed=passed,
            failed=len(results) - passed - skipped,
            skipped=skipped,
        )
        events.append(told(end, at + timedelta(seconds=10 * len(results) + 1)))
    return events
