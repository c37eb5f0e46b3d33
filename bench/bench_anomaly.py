"""Unusual access to secrets: false alarms, and how soon a flood and a canary are noticed; beside two peers.

Twelve shapes of honest clients, each with deploys, for six weeks of which two only teach. The seed is a
fresh one each time, and printed; RESILE_BENCH_SEED sets it. The data were made, and the detector was tuned, by
the same people, on other seeds.
"""

import copy
import math
import os
import random
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Protocol

from tests.support.access_traffic import (
    MINUTES_PER_DAY,
    MORE_SHAPES,
    SHAPES,
    WINDOW_MINUTES,
    Shape,
    add_flood,
    honest,
)

from resile.core.vocabulary import AccessOutcome, SecretResponse
from resile.secrets.anomaly import Access, AccessMemory, AccessWatch, Settings
from resile.secrets.anomaly.profile import Profile
from resile.secrets.anomaly.series import Series

CLIENTS_PER_SHAPE = 9
LEARN_DAYS, JUDGED_DAYS = 14, 28
FLOOD_MINUTES = 120
QUIET_MINUTES = 60
"""Alarms of one detector that are no further apart are one."""
CANARIES = 200
ACCESSES = 20_000


class Detector(Protocol):
    """Takes the counts of minutes."""

    def minute(self, count: int) -> float | None:
        """Take a minute; tell which part of it had passed when it looked odd, if it did."""
        ...

    def minute_of_accesses(self, count: int) -> float | None:
        """Do the same with each access by itself."""
        ...


class Ours:
    """The product's: a profile by hours, two of three windows."""

    def __init__(self) -> None:
        self._series = Series(Profile(), 0)

    def minute(self, count: int) -> float | None:
        """Take a minute."""
        series = self._series
        is_odd = series.add(count)
        return 1.0 if series.advance(series.minute + 1) or is_odd else None

    def minute_of_accesses(self, count: int) -> float | None:
        """As `minute`, with each access by itself."""
        series = self._series
        for number in range(count):
            if series.add(1):
                return (number + 0.5) / count
        return 1.0 if series.advance(series.minute + 1) else None


class Windows:
    """What looks at windows of five minutes that begin at fixed times.

    Args:
        need: So many of three have to be odd.
    """

    def __init__(self, need: int) -> None:
        self._need = need
        self._minutes = self._count = 0
        self._flags = [False] * 3

    def minute(self, count: int) -> float | None:
        """Take a minute; only the last of a window tells anything."""
        self._minutes += 1
        self._count += count
        if self._minutes % WINDOW_MINUTES:
            return None
        self._flags = [*self._flags[1:], self.window(self._count)]
        self._count = 0
        return 1.0 if self._flags[-1] and sum(self._flags) >= self._need else None

    def minute_of_accesses(self, count: int) -> float | None:
        """Take a minute."""
        return self.minute(count)

    def window(self, count: int) -> bool:
        """Tell whether a window is odd, and learn it."""
        raise NotImplementedError


class Ewma(Windows):
    """A moving mean and variance; odd is what is six deviations above. What is odd moves them by that much."""

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self._mean, self._variance = -1.0, 1.0

    def window(self, count: int) -> bool:
        """Tell whether a window is odd, and learn it."""
        if self._mean < 0:
            self._mean = count
        limit = 6 * math.sqrt(max(self._variance, 1.0))
        above = count - self._mean
        step = min(above, limit)
        self._mean += 0.02 * step
        self._variance = 0.98 * (self._variance + 0.02 * step**2)
        return above > limit


class Medians(Windows):
    """The median of a day, and the median distance to it; odd is what is six of these above."""

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self._day: list[int] = []
        self._middle, self._spread = 0.0, math.inf

    def window(self, count: int) -> bool:
        """Tell whether a window is odd, and learn it."""
        day = self._day
        if (len(day) >= 48 and len(day) % 6 == 0) or len(day) > 288 + 6:
            del day[:-288]
            self._middle = statistics.median(day)
            distance = statistics.median(abs(one - self._middle) for one in day)
            self._spread = max(1.5 * distance, math.sqrt(self._middle + 1))
        is_odd = count - self._middle > 6 * self._spread
        day.append(count)
        return is_odd


MAKERS = {
    "resile": Ours,
    "EWMA, k = 6": lambda: Ewma(1),
    "EWMA, k = 6, 2 of 3": lambda: Ewma(2),
    "median and MAD, k = 6": lambda: Medians(1),
    "median and MAD, k = 6, 2 of 3": lambda: Medians(2),
}


@dataclass
class Tally:
    """What a detector did with one shape."""

    alarms: int = 0
    months: float = 0.0
    cpu_s: float = 0.0
    windows: int = 0
    delays: dict[int, list[float | None]] = field(default_factory=lambda: defaultdict(list))


def main() -> None:
    seed = int(os.environ.get("RESILE_BENCH_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for shape in (*SHAPES, *MORE_SHAPES):
        for _ in range(CLIENTS_PER_SHAPE):
            try_client(shape, chance, tallies)
    print_bars(tallies)
    print_canary()
    print_peers(tallies)
    print_shapes(tallies)


def try_client(shape: Shape, chance: random.Random, tallies: dict[tuple[str, str], Tally]) -> None:
    """Show each detector the same client, once as it is, and with floods from some moments on."""
    days = LEARN_DAYS + JUDGED_DAYS
    counts = honest(shape, chance, days=days)
    floods = []
    for times in (10, 3):
        at = chance.uniform(LEARN_DAYS * MINUTES_PER_DAY, len(counts) - FLOOD_MINUTES)
        flooded = counts[int(at) : int(at) + FLOOD_MINUTES + 1]
        add_flood(flooded, chance, base=shape.base, times=times, at=at % 1, minutes=FLOOD_MINUTES)
        floods.append((at, times, flooded))
    for name, make in MAKERS.items():
        judge(make(), counts, sorted(floods), tallies[name, shape.name])


def judge(
    detector: Detector, counts: list[int], floods: list[tuple[float, int, list[int]]], tally: Tally
) -> None:
    last = -math.inf
    minute = 0
    for at, times, flooded in [*floods, (len(counts), 0, [])]:
        began_s = process_time()
        odd = [n for n in range(minute, int(at)) if detector.minute(counts[n]) is not None]
        tally.cpu_s += process_time() - began_s
        for one in odd:
            if one >= LEARN_DAYS * MINUTES_PER_DAY:
                tally.alarms += one - last > QUIET_MINUTES
                last = one
        minute = int(at)
        if times:
            tally.delays[times].append(delay(copy.deepcopy(detector), flooded, at % 1))
    tally.windows += len(counts) // WINDOW_MINUTES
    tally.months += JUDGED_DAYS / 28


def delay(detector: Detector, flooded: list[int], begin: float) -> float | None:
    """Tell how many minutes after its begin a flood was found."""
    for number, count in enumerate(flooded):
        part = detector.minute_of_accesses(count)
        if part is not None:
            return max(0.0, number + part - begin)
    return None


def total(tallies: dict[tuple[str, str], Tally], name: str, shapes: tuple[Shape, ...]) -> Tally:
    """Add up a detector's figures of some shapes."""
    added = Tally()
    for shape in shapes:
        one = tallies[name, shape.name]
        added.alarms += one.alarms
        added.months += one.months
        added.cpu_s += one.cpu_s
        added.windows += one.windows
        for times, delays in one.delays.items():
            added.delays[times] += delays
    return added


def print_bars(tallies: dict[tuple[str, str], Tally]) -> None:
    every, known = (
        total(tallies, "resile", shapes) for shapes in ((*SHAPES, *MORE_SHAPES), SHAPES)
    )
    print("bar | target | measured")
    for what, one in (("12 shapes", every), ("the first 6", known)):
        print(
            f"false alarms per client-month, {what}, {one.months:.0f} client-months | <= 0.5 | "
            f"{one.alarms / one.months:.2f}"
        )
    for times, target in ((10, "all, < 10 min"), (3, "-")):
        print(
            f"{times} times the rate for 2 h, the first 6 shapes | {target} | {said(known, times)}"
        )
    print(f"processor time of a window | - | {every.cpu_s / every.windows * 1e6:.1f} us")


def said(tally: Tally, times: int) -> str:
    found = [one for one in tally.delays[times] if one is not None]
    text = f"{len(found)}/{len(tally.delays[times])}"
    if not found:
        return text
    within = sum(one < 10 for one in found)
    return f"{text}, median {statistics.median(found):.1f} min, max {max(found):.1f}, {within} < 10"


def print_canary() -> None:
    """Have a real watch, with its file on a disk, take accesses and canaries."""
    access = Access(
        client="service/a",
        name="db/password",
        version_number="1",
        outcome=AccessOutcome.GIVEN,
        at=datetime.now(UTC),
        pid=1,
        uid=0,
        program="/usr/bin/a",
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        watch = AccessWatch(
            AccessMemory(Path(folder) / "access.db"), Settings(canaries=frozenset({"root/key"}))
        )
        took = []
        for number in range(CANARIES):
            trap = Access(
                client=f"service/{number}",
                name="root/key",
                version_number="",
                outcome=AccessOutcome.DENIED,
                at=datetime.now(UTC),
                pid=1,
                uid=0,
            )
            began_s = perf_counter()
            (found,) = watch.seen(trap)
            took.append(perf_counter() - began_s)
            assert found.response is SecretResponse.QUARANTINE
        began_s = process_time()
        for _ in range(ACCESSES):
            watch.seen(access)
        each_s = (process_time() - began_s) / ACCESSES
        watch.close()
    print(
        f"canary read to response | < 1 s | median {statistics.median(took) * 1e3:.2f} ms, "
        f"max {max(took) * 1e3:.1f} ms of {CANARIES}"
    )
    print(f"processor time of an access | - | {each_s * 1e6:.1f} us")


def print_peers(tallies: dict[tuple[str, str], Tally]) -> None:
    print(
        "\ndetector | false alarms per client-month | of the first 6 | 10 times | 3 times | us a window"
    )
    for name in MAKERS:
        every, known = (
            total(tallies, name, shapes) for shapes in ((*SHAPES, *MORE_SHAPES), SHAPES)
        )
        print(
            f"{name} | {every.alarms / every.months:.2f} | {known.alarms / known.months:.2f} | "
            f"{said(known, 10)} | {said(known, 3)} | {every.cpu_s / every.windows * 1e6:.1f}"
        )


def print_shapes(tallies: dict[tuple[str, str], Tally]) -> None:
    print("\nresile, by shape | false alarms per client-month | 10 times | 3 times")
    for shape in (*SHAPES, *MORE_SHAPES):
        one = tallies["resile", shape.name]
        print(f"{shape.name} | {one.alarms / one.months:.2f} | {said(one, 10)} | {said(one, 3)}")


if __name__ == "__main__":
    main()
