"""Judge a predictor on made series, as `bench/bench_prediction.py` and the simulation do.

An alarm begins when the limit is expected for the third sample in a row, and ends when it was not expected
for five minutes. It is right if the limit is reached within ten minutes of its beginning, and it was still
expected within the five minutes before; a crossing is found if such an alarm began half a minute before.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.support.exhaustion import LIMIT, PERIOD_S, SAMPLES, Trace

from resile.health.prediction import HORIZON_S, Outlook, Predictor
from resile.health.prediction.decide import AGREED_COUNT

HORIZON = int(HORIZON_S / PERIOD_S)
LEAD_S_MIN = 30.0


@dataclass
class Tally:
    """What came of a predictor's alarms."""

    right: int = 0
    crossings: int = 0
    leads_s: list[float] = field(default_factory=list)
    false: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    samples: int = 0

    @property
    def precision(self) -> float:
        alarms = self.right + self.false.total()
        return self.right / alarms if alarms else 0.0

    @property
    def recall(self) -> float:
        return len(self.leads_s) / self.crossings if self.crossings else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def lead_s(self) -> float:
        return statistics.median(self.leads_s) if self.leads_s else 0.0


def expected_by(predictor: Predictor, trace: Trace) -> list[bool]:
    """Tell for each sample up to the crossing whether the limit is expected to be reached."""
    end = SAMPLES if trace.crossing is None else trace.crossing
    observe: Callable[[float, float], Outlook | None] = predictor.observe
    return [
        observe(number * PERIOD_S, value / LIMIT) is not None
        for number, value in enumerate(trace.values[:end])
    ]


def judge(trace: Trace, expected: list[bool], tally: Tally) -> None:
    """Add what came of one series."""
    tally.samples += len(expected)
    crossing, lead = trace.crossing, 0
    for begin, last in alarms(expected):
        if crossing is not None and crossing - begin <= 2 * HORIZON and crossing - last <= HORIZON:
            tally.right += 1
            lead = max(lead, crossing - begin)
        else:
            tally.false[trace.kind] += 1
    if crossing is None:
        return
    tally.crossings += 1
    if lead * PERIOD_S >= LEAD_S_MIN:
        tally.leads_s.append(lead * PERIOD_S)
    else:
        tally.missed[trace.kind] += 1


def alarms(expected: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Give the samples at which each alarm began and was last confirmed."""
    agreed, begin, last = 0, -1, -1
    for number, is_expected in enumerate(expected):
        agreed = agreed + 1 if is_expected else 0
        if is_expected:
            last = number
            if begin < 0 and agreed >= AGREED_COUNT:
                begin = number
        elif begin >= 0 and number - last >= HORIZON:
            yield begin, last
            begin = -1
    if begin >= 0:
        yield begin, last
