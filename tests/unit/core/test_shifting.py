"""Every time in a value moves, and nothing else."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from resile.core.shifting import with_times

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    at: datetime | None
    name: str = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inners: tuple[Inner, ...]
    by_name: dict[str, Inner]
    times: tuple[datetime, ...]


def test_times_move_however_deep_they_lie() -> None:
    value = Outer(inners=(Inner(at=NOON),), by_name={"a": Inner(at=None)}, times=(NOON,))

    moved = with_times(value, lambda time: time + timedelta(hours=1))

    assert moved == Outer(inners=(Inner(at=LATER),), by_name={"a": Inner(at=None)}, times=(LATER,))
    assert value.times == (NOON,)
