"""Say in one sentence what an event about a prediction tells. Pure; `core.sentences` is who asks."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from resile.core import events
from resile.core.units import format_duration, format_size
from resile.core.vocabulary import PredictionOutcome, Resource

_BYTES: Final = (Resource.MEMORY, Resource.DISK)
_NOUNS: Final = {Resource.DISK: "space", Resource.POOL: "places in its pool"}
_TIMED: Final = (Resource.CERTIFICATE, Resource.SECRET)
_OUTCOMES: Final = {
    PredictionOutcome.CAME_TRUE: "it came true",
    PredictionOutcome.DID_NOT: "it did not come true",
    PredictionOutcome.AVERTED: "it was averted",
}


def expectation(payload: events.PredictionMade) -> str:
    """Tell what is expected, without its target: `out of memory in about 4m, 400MiB of 512MiB used`."""
    left = format_duration(max(0.0, payload.left_s))
    if payload.resource in _TIMED:
        return f"its {payload.resource} expires in {left}"
    detail = f" ({payload.detail})" if payload.detail else ""
    return f"out of {_noun(payload.resource)} in about {left}{detail}, {_used(payload)}"


def _made(payload: events.PredictionMade) -> str:
    muted = "; its predictor is muted" if payload.is_muted else ""
    return f"{_name(payload.target)}: {expectation(payload)}{muted}"


def _ended(payload: events.PredictionEnded) -> str:
    why = f": {payload.reason}" if payload.reason else ""
    after = format_duration(payload.after_s)
    what = f"{_name(payload.target)} was expected to run out of {_noun(payload.resource)}"
    if payload.resource in _TIMED:
        what = f"the {payload.resource} of {_name(payload.target)} was expected to expire"
    return f"{what}; {_OUTCOMES[payload.outcome]} after {after}{why}"


def _used(payload: events.PredictionMade) -> str:
    if payload.resource in _BYTES:
        return f"{format_size(int(payload.used))} of {format_size(int(payload.limit))} used"
    return f"{payload.used:.0f} of {payload.limit:.0f} used"


def _noun(resource: Resource) -> str:
    return _NOUNS.get(resource, resource.value)


def _name(target: str) -> str:
    return target.partition("/")[2] or target


SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    events.PredictionEnded: _ended,
    events.PredictionMade: _made,
}
