"""What will run out within five minutes, on made series and on recorded leaks; beside simpler ways to tell.

Six kinds of series run into their limit and six come close to it. The seed is a fresh one each time, and
printed; RESILE_BENCH_SEED sets it. The series were made, and the guards were tuned, by the same people, on
other seeds. The recorded leaks are real processes; bench/record_leaks.py tells how fast they were made to leak.
"""

import os
import random
import statistics
from collections import deque
from collections.abc import Callable
from time import process_time

from tests.support.exhaustion import LIMIT, RISING, STAYING, Trace, trace
from tests.support.foretelling import HORIZON, Tally, expected_by, judge
from tests.support.leaks import LEAKS, predictions_of

from resile.health.prediction import HORIZON_S, Outlook, Predictor, TrendGuard
from resile.health.prediction.guard import FLOOR_SHARE
from resile.health.prediction.online import OnlineTrend

SERIES_PER_KIND = 30
REPEATED = 20_000
NEAR_SHARE = 85.0 / LIMIT
EXPECTED = Outlook(left_s=0.0, confidence=1.0, slope_per_s=1.0)


class NearLimit:
    """An alarm at 85 % of everything, where the limit is at 90."""

    def observe(self, at_s: float, share: float) -> Outlook | None:  # noqa: ARG002 - the port's
        """Take a sample."""
        return EXPECTED if share >= NEAR_SHARE else None


class PredictLinear:
    """A line by least squares through ten minutes, as Prometheus' predict_linear; with our floor."""

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=2 * HORIZON)

    def observe(self, at_s: float, share: float) -> Outlook | None:  # noqa: ARG002 - the port's
        """Take a sample."""
        self._shares.append(share)
        count = len(self._shares)
        if count < HORIZON or share < FLOOR_SHARE:
            return None
        middle = (count - 1) / 2
        mean = sum(self._shares) / count
        slope = sum((n - middle) * one for n, one in enumerate(self._shares))
        slope /= count * (count * count - 1) / 12
        return EXPECTED if mean + slope * (count - 1 - middle + HORIZON) >= 1 else None


MAKERS: dict[str, Callable[[], Predictor]] = {
    "resile": TrendGuard,
    "resile[ml], river": OnlineTrend,
    "predict_linear + floor": PredictLinear,
    "static 85 %": NearLimit,
}


def main() -> None:
    seed = int(os.environ.get("RESILE_BENCH_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed}, {SERIES_PER_KIND} series of each of 12 kinds, 2 h each")
    traces = [
        trace(kind, seed + number)
        for kind in (*RISING, *STAYING)
        for number in range(SERIES_PER_KIND)
    ]
    tallies = {name: tried(make, traces) for name, make in MAKERS.items()}
    print_bars(*tallies["resile"])
    print_dearest()
    print_leaks()
    print_peers(tallies)


def tried(make: Callable[[], Predictor], traces: list[Trace]) -> tuple[Tally, float]:
    """Judge a predictor; give what it costs a sample in microseconds, too."""
    tally, cpu_s = Tally(), 0.0
    for one in traces:
        predictor = make()
        began_s = process_time()
        expected = expected_by(predictor, one)
        cpu_s += process_time() - began_s
        judge(one, expected, tally)
    return tally, cpu_s / tally.samples * 1e6


def print_bars(tally: Tally, each_us: float) -> None:
    print("bar | target | measured")
    print(f"precision | >= 0.75 | {tally.precision:.2f}")
    print(f"recall, {tally.crossings} crossings | >= 0.85 | {tally.recall:.2f}")
    print(f"median lead | >= 180 s | {tally.lead_s:.0f} s")
    print(f"processor time of a sample, mean | <= 25 us | {each_us:.1f} us")


def print_dearest() -> None:
    """Measure samples that pass every guard, which cost most."""
    guard = TrendGuard()
    for number in range(200):
        guard.observe(number * 5.0, 0.7 + number * 1e-4)
    began_s = process_time()
    for number in range(200, 200 + REPEATED):
        guard.observe(number * 5.0, 0.72 + (number - 200) * 1e-4 % 0.2)
    each_us = (process_time() - began_s) / REPEATED * 1e6
    print(f"processor time of a sample above the floor | <= 25 us | {each_us:.1f} us")


def print_leaks() -> None:
    for leak in LEAKS:
        found = predictions_of(leak)
        told = f"{found[0]:.0f} s before its end" if found else "not predicted"
        print(f"recorded leak of {leak.resource} | predicted | {told}")


def print_peers(tallies: dict[str, tuple[Tally, float]]) -> None:
    print(
        "\npredictor | precision | recall | F1 | median lead | us a sample | false alarms by kind | missed by kind"
    )
    for name, (tally, each_us) in tallies.items():
        false, missed = (
            ", ".join(f"{count} {kind}" for kind, count in sorted(one.items())) or "none"
            for one in (tally.false, tally.missed)
        )
        print(
            f"{name} | {tally.precision:.2f} | {tally.recall:.2f} | {tally.f1:.2f} | "
            f"{tally.lead_s:.0f} s | {each_us:.1f} | {false} | {missed}"
        )
    ours = tallies["resile"][0]
    peer = tallies["predict_linear + floor"][0]
    print(
        f"precision above predict_linear + floor | >= 0.2 | {ours.precision - peer.precision:.2f}"
    )
    print(f"a horizon is {HORIZON_S:.0f} s; quartiles of our lead: {quartiles(ours)}")


def quartiles(tally: Tally) -> str:
    return ", ".join(f"{one:.0f} s" for one in statistics.quantiles(tally.leads_s, n=4))


if __name__ == "__main__":
    main()
