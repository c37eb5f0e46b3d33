"""Some clients for some days, a restart among them, then a flood: a small version of `bench anomaly`.

What is asserted is loose, as chance is in it; a failure names its seed.
"""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.access_traffic import MINUTES_PER_DAY, SHAPES, Shape, add_flood, honest

from resile.core.vocabulary import AccessOutcome, SecretResponse
from resile.secrets.anomaly import Access, AccessMemory, AccessWatch, Finding, Settings, Signal
from resile.secrets.anomaly.model import DAY_S

START = datetime(2030, 1, 7, tzinfo=UTC)
LEARN_DAYS, DAYS = 6, 9
SETTINGS = Settings(learn_s=LEARN_DAYS * DAY_S, canaries=frozenset({"root/key"}))
CLIENTS = {shape.name: shape for shape in SHAPES if shape.name in ("flat, 20", "diurnal, 60")}
RATES = {Signal.RATE, Signal.FLOOD}


class Days:
    """Clients that read one secret each, and the watch over them.

    Args:
        path: The watch's memory.
        seed: Of the traffic.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.counts = {
            name: honest(shape, self.chance, days=DAYS) for name, shape in CLIENTS.items()
        }
        self.watch = AccessWatch(AccessMemory(path), SETTINGS)
        self.minute = 0

    def restart(self) -> None:
        self.watch.close()
        self.watch = AccessWatch(AccessMemory(self.path), SETTINGS)

    def see(self, client: str, count: int, name: str = "db/password") -> tuple[Finding, ...]:
        return self.watch.seen(
            Access(
                client=client,
                name=name,
                version_number="1",
                outcome=AccessOutcome.GIVEN,
                at=START + timedelta(minutes=self.minute),
                pid=1,
                uid=0,
                count=count,
            )
        )

    def run(self, until: int) -> list[tuple[int, Finding]]:
        """Let time pass up to a minute; give what was found, and when."""
        found = []
        while self.minute < until:
            for client, counts in self.counts.items():
                if count := counts[self.minute]:
                    found += [(self.minute, one) for one in self.see(client, count)]
            self.minute += 1
            now = START + timedelta(minutes=self.minute)
            found += [(self.minute, one) for one in self.watch.look(now)]
        return found

    def flood(self, shape: Shape) -> None:
        """Have a client ask ten times as often as when it is busy, from now on."""
        counts = self.counts[shape.name]
        minutes = len(counts) - self.minute
        add_flood(counts, self.chance, base=shape.base, times=10, at=self.minute, minutes=minutes)


@pytest.mark.parametrize("seed", range(2))
def test_honest_days_are_quiet_and_a_flood_is_found(tmp_path: Path, seed: int) -> None:
    days = Days(tmp_path / "access.db", seed)

    honest_findings = days.run(LEARN_DAYS * MINUTES_PER_DAY + 700)
    days.restart()
    honest_findings += days.run((DAYS - 1) * MINUTES_PER_DAY)
    at = days.minute
    for shape in CLIENTS.values():
        days.flood(shape)
    found = days.run(at + 60)

    alarms = [one for _, one in honest_findings if one.response is not SecretResponse.LOG]
    delays = {one.client: minute - at for minute, one in reversed(found)}
    assert len(alarms) <= 2, f"seed {seed}: {alarms}"
    assert set(delays) == set(CLIENTS), f"seed {seed}: {found}"
    assert max(delays.values()) < 15, f"seed {seed}: {delays}"
    assert {one.response for _, one in found} <= {SecretResponse.ALERT, SecretResponse.ROTATE}
    assert all(set(one.signals) <= RATES for _, one in found), f"seed {seed}"
    (canary,) = days.see("flat, 20", 1, name="root/key")
    assert canary.response is SecretResponse.QUARANTINE
    assert days.watch.blast_radius("flat, 20") == ("db/password", "root/key")
    days.watch.close()
