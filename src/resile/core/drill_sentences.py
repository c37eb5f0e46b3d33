"""Say in one sentence what an event about a drill tells. Pure; `core.sentences` is who asks."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.core import events
from resile.core.units import format_duration


def _begun(payload: events.DrillBegun) -> str:
    return f"{payload.who} begins a drill of {len(payload.cells)} scenarios"


def _proved(payload: events.DrillProved) -> str:
    times = [
        f"{word} after {format_duration(seconds)}"
        for word, seconds in (("seen", payload.detected_s), ("well", payload.recovered_s))
        if seconds >= 0
    ]
    lost = [f"{payload.lost} of {payload.acked} writes lost"] if payload.lost > 0 else []
    facts = ", ".join([*times, *lost, *([payload.why] if payload.why else [])])
    return f"drill {payload.cell}: {payload.verdict}" + (f" ({facts})" if facts else "")


def _ended(payload: events.DrillEnded) -> str:
    counts = f"{payload.passed} passed, {payload.failed} failed, {payload.skipped} skipped"
    why = f": {payload.why}" if payload.why else ""
    return f"the drill is over with a score of {payload.score}: {counts}{why}"


SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    events.DrillBegun: _begun,
    events.DrillEnded: _ended,
    events.DrillProved: _proved,
}
