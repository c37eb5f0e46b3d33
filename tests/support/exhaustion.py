"""Made series of a resource in use, a sample every five seconds for two hours: some run into their limit, some only look so.

Six kinds rise to the limit, six stay below it with peaks that come close. All noise is Gaussian, and what is
drawn for a series is the same for the same seed.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

SAMPLES = 1440
PERIOD_S = 5.0
LIMIT = 90.0
_TOP = 100.0

Level = Callable[[int], float]
"""The level without noise, by the number of the sample."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One series.

    Args:
        kind: A key of `RISING` or `STAYING`.
        values: One for each sample, 0..100.
        crossing: The sample at which the limit is reached for good; None if it never is.
    """

    kind: str
    values: tuple[float, ...]
    crossing: int | None


def trace(kind: str, seed: int) -> Trace:
    """Make the series of a kind and a seed."""
    chance = random.Random(f"{kind}/{seed}")
    is_rising = kind in RISING
    level, deviation = (RISING if is_rising else STAYING)[kind](chance)
    most = _TOP if is_rising else LIMIT - 1
    values = tuple(
        max(0.0, min(most, level(number) + chance.gauss(0, deviation))) for number in range(SAMPLES)
    )
    return Trace(kind=kind, values=values, crossing=_crossing(values))


def _crossing(values: tuple[float, ...]) -> int | None:
    """Find the first sample at the limit whose next two stay about there."""
    for number in range(len(values) - 2):
        after = values[number + 1 : number + 3]
        if values[number] >= LIMIT and min(after) >= LIMIT - 2:
            return number
    return None


def _drawn(chance: random.Random) -> tuple[float, float, int]:
    """Draw what every rising series has: where it stands, how noisy it is, when it begins to rise."""
    return chance.uniform(25, 50), chance.choice((0.3, 1.0, 2.0)), chance.randint(300, 600)


def _share(number: int, begin: int, length: float) -> float:
    return max(0, number - begin) / length


def _leak(chance: random.Random) -> tuple[Level, float]:
    base, deviation, begin = _drawn(chance)
    length = chance.uniform(300, 800)
    return lambda n: base + _share(n, begin, length) * (LIMIT - base), deviation


def _leak_with_collections(chance: random.Random) -> tuple[Level, float]:
    rise, deviation = _leak(chance)
    period, height = chance.randint(12, 40), chance.uniform(3, 8)
    return lambda n: rise(n) + height * (n % period / period - 0.5), deviation


def _leak_under_waves(chance: random.Random) -> tuple[Level, float]:
    base, deviation, begin = _drawn(chance)
    length = chance.uniform(400, 800)
    period, height = chance.randint(120, 360), chance.uniform(4, 10)

    def level(number: int) -> float:
        wave = height * math.sin(2 * math.pi * number / period)
        return base + _share(number, begin, length) * (LIMIT - base) + wave

    return level, deviation


def _accelerating(chance: random.Random) -> tuple[Level, float]:
    base, deviation, begin = _drawn(chance)
    length = chance.uniform(300, 700)
    return lambda n: base + _share(n, begin, length) ** 2 * (LIMIT - base), deviation


def _pool(chance: random.Random) -> tuple[Level, float]:
    """Take connections that are not given back, as a logistic curve."""
    base, deviation, begin = _drawn(chance)
    length, end = chance.uniform(150, 400), chance.uniform(96, 100)
    return (
        lambda n: base + (end - base) / (1 + math.exp(-(n - begin - length) / (length / 6))),
        deviation,
    )


def _filling(chance: random.Random) -> tuple[Level, float]:
    """Fill a disk in steps."""
    base, _, begin = _drawn(chance)
    length, every = chance.uniform(90, 360), chance.randint(3, 10)

    def level(number: int) -> float:
        step = max(0, (number - begin) // every * every)
        return base + step / length * (LIMIT - base)

    return level, 0.05


def _drawn_below(chance: random.Random) -> tuple[float, float, float]:
    """Draw what every series that stays below the limit has: its top, its base, its noise."""
    deviation = chance.choice((0.3, 1.0, 2.0))
    return chance.uniform(70, 88) - 2 * deviation, chance.uniform(25, 50), deviation


def _flat(chance: random.Random) -> tuple[Level, float]:
    top, _, deviation = _drawn_below(chance)
    return lambda n: top, deviation


def _waves(chance: random.Random) -> tuple[Level, float]:
    top, _, deviation = _drawn_below(chance)
    period, height = chance.randint(240, 720), chance.uniform(8, 18)
    return lambda n: top - height + height * math.sin(2 * math.pi * n / period), deviation


def _step(chance: random.Random) -> tuple[Level, float]:
    top, base, deviation = _drawn_below(chance)
    begin = chance.randint(300, 900)
    return lambda n: top if n > begin else base, deviation


def _plateau(chance: random.Random) -> tuple[Level, float]:
    """Warm up: a cache that fills and is full."""
    top, base, deviation = _drawn_below(chance)
    length, begin = chance.uniform(100, 300), chance.randint(300, 600)
    return lambda n: base + (top - base) * (1 - math.exp(-_share(n, begin, length))), deviation


def _sawtooth(chance: random.Random) -> tuple[Level, float]:
    top, base, deviation = _drawn_below(chance)
    period = chance.randint(60, 240)
    return lambda n: base + (top - base) * (n % period / period), deviation


def _bursts(chance: random.Random) -> tuple[Level, float]:
    top, base, deviation = _drawn_below(chance)
    bursts = [
        (
            chance.randint(0, SAMPLES),
            chance.randint(6, 36),
            chance.uniform(10, max(11.0, top - base)),
        )
        for _ in range(8)
    ]

    def level(number: int) -> float:
        heights = [height for at, length, height in bursts if at <= number < at + length]
        return base + max(heights, default=0.0)

    return level, deviation


RISING: dict[str, Callable[[random.Random], tuple[Level, float]]] = {
    "leak": _leak,
    "leak with collections": _leak_with_collections,
    "leak under waves": _leak_under_waves,
    "accelerating leak": _accelerating,
    "pool": _pool,
    "disk in steps": _filling,
}
STAYING: dict[str, Callable[[random.Random], tuple[Level, float]]] = {
    "flat": _flat,
    "waves": _waves,
    "step": _step,
    "plateau": _plateau,
    "sawtooth": _sawtooth,
    "bursts": _bursts,
}
