"""Made traffic of clients that read secrets: honest shapes, and what an intruder adds.

Counts of minutes. Every shape is over-dispersed (its rate wanders by a quarter), begins at a random
minute of the week, and has a deploy every two days: six times the rate for one to five minutes, from any
second on.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MINUTES_PER_DAY = 1440
WINDOW_MINUTES = 5
_SIGMA = 0.25
_BURST = 6.0
_BURST_EXTRA = 5.0


@dataclass(frozen=True)
class Shape:
    """One sort of client.

    Args:
        name: What it is.
        base: What it asks for in five minutes when it is busy.
        rate: The share of that, for a minute since it began and what `draw` has drawn for this client.
        draw: Draws what is random about a client once.
    """

    name: str
    base: float
    rate: Callable[[int, dict[str, float]], float]
    draw: Callable[[random.Random, int], dict[str, float]] = lambda chance, days: {}


def _flat(minute: int, drawn: dict[str, float]) -> float:
    return 1.0


def _office(minute: int, drawn: dict[str, float]) -> float:
    hour, day = minute / 60 % 24, minute // MINUTES_PER_DAY
    if f"off{day}" in drawn:
        return 0.02
    if day >= drawn.get("clocks", math.inf):
        hour = (hour + 1) % 24
    return 1.0 if 8 <= hour < 18 and day % 7 < 5 else 0.02


def _diurnal(minute: int, drawn: dict[str, float]) -> float:
    return 0.4 + 0.6 * (1 + math.sin((minute / 60 - 6) / 24 * 2 * math.pi)) / 2


def _hourly(minute: int, drawn: dict[str, float]) -> float:
    return 12.0 if minute % 60 < drawn["minutes"] else 0.0


def _nightly(minute: int, drawn: dict[str, float]) -> float:
    day = minute // MINUTES_PER_DAY
    begin = 120 + drawn[f"late{day}"]
    return 10.0 if begin <= minute % MINUTES_PER_DAY < begin + 25 else 0.5


def _drift(minute: int, drawn: dict[str, float]) -> float:
    return 1.03 ** (minute / MINUTES_PER_DAY)


def _sessions(minute: int, drawn: dict[str, float]) -> float:
    day, of_day = divmod(minute, MINUTES_PER_DAY)
    begin = drawn.get(f"begin{day}", -1e9)
    return 1.0 if begin <= of_day < begin + drawn.get(f"long{day}", 0) else 0.0


def _draw_nights(chance: random.Random, days: int) -> dict[str, float]:
    return {f"late{day}": chance.uniform(-10, 10) for day in range(days)}


def _draw_holidays(chance: random.Random, days: int) -> dict[str, float]:
    week = chance.randrange(0, days - 7, 7)
    off = {*range(week, week + 7), *chance.sample(range(days), 4)}
    return {f"off{day}": 1.0 for day in off}


def _draw_sessions(chance: random.Random, days: int) -> dict[str, float]:
    drawn = {}
    for day in range(days):
        if chance.random() < 0.4:
            drawn[f"begin{day}"] = chance.uniform(8, 20) * 60
            drawn[f"long{day}"] = chance.uniform(5, 40)
    return drawn


SHAPES = (
    Shape("flat, 2", 2, _flat),
    Shape("flat, 20", 20, _flat),
    Shape("office, 20", 20, _office),
    Shape("diurnal, 60", 60, _diurnal),
    Shape("diurnal, 5", 5, _diurnal),
    Shape("hourly, 5 minutes", 5, _hourly, lambda chance, days: {"minutes": 5}),
)
"""The shapes that detectors have been compared on before."""
MORE_SHAPES = (
    Shape("hourly, 12 minutes", 5, _hourly, lambda chance, days: {"minutes": 12}),
    Shape("nightly job", 4, _nightly, _draw_nights),
    Shape("office with holidays", 20, _office, _draw_holidays),
    Shape(
        "office, clocks changed",
        20,
        _office,
        lambda chance, days: {"clocks": chance.randrange(15, 27)},
    ),
    Shape("growing 3 % a day", 10, _drift),
    Shape("person, some sessions", 5, _sessions, _draw_sessions),
)
"""What is honest, too, and was not in those data."""


def honest(shape: Shape, chance: random.Random, *, days: int) -> list[int]:
    """Make the counts of each minute of an honest client."""
    drawn = shape.draw(chance, days)
    minutes = days * MINUTES_PER_DAY
    share = bursts(chance, minutes, days // 2)
    counts = []
    noise = 1.0
    for minute in range(minutes):
        if minute % WINDOW_MINUTES == 0:
            noise = math.exp(chance.gauss(0, _SIGMA))
        mean = shape.base * shape.rate(minute, drawn) * noise
        if minute in share:
            mean += share[minute] * (mean * (_BURST - 1) + _BURST_EXTRA)
        counts.append(poisson(mean / WINDOW_MINUTES, chance))
    return counts


def bursts(chance: random.Random, minutes: int, count: int) -> dict[int, float]:
    """Draw deploys: the share of each minute that lies in one."""
    share: dict[int, float] = {}
    for _ in range(count):
        begin = chance.uniform(0, minutes - 10)
        end = begin + chance.uniform(1, WINDOW_MINUTES)
        for minute in range(int(begin), int(end) + 1):
            part = min(end, minute + 1) - max(begin, minute)
            share[minute] = min(1.0, share.get(minute, 0.0) + part)
    return share


def add_flood(
    counts: list[int],
    chance: random.Random,
    *,
    base: float,
    times: float,
    at: float,
    minutes: float,
) -> None:
    """Add what makes the busy rate of a client so many times as much, from a moment of a minute on."""
    extra = max(2.0, base) * (times - 1) / WINDOW_MINUTES
    end = min(at + minutes, len(counts))
    for minute in range(int(at), math.ceil(end)):
        part = min(end, minute + 1) - max(at, minute)
        counts[minute] += poisson(extra * part, chance)


def poisson(mean: float, chance: random.Random) -> int:
    """Draw from Poisson's distribution."""
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count
