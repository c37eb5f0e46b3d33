"""Starting processes that append to a journal, killing them, and checking what they left."""

import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.journal_child import UNIT

from resile.core.journal import Query, Verification, open_journal, verify_journal

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("journal_child.py")
SEGMENT_BYTES = 60_000
ENDLESS = 10**9
SEGMENTS_KEPT = 10**6
ACKNOWLEDGED_BEFORE_KILL_MAX = 60


def start(
    folder: Path,
    name: str,
    *,
    count: int = ENDLESS,
    segments: int = SEGMENTS_KEPT,
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(CHILD), str(folder), name]
    return subprocess.Popen(
        [*command, str(count), str(SEGMENT_BYTES), str(segments)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def kill_at_random(children: Iterable["subprocess.Popen[bytes]"], rng: random.Random) -> set[str]:
    """Let each acknowledge a random number of units, kill -9 it, give all that it acknowledged."""
    acknowledged = set()
    for child in children:
        with child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, ACKNOWLEDGED_BEFORE_KILL_MAX)):
                acknowledged.add(child.stdout.readline())
            child.kill()
            # What it wrote before it died was acknowledged too; a line may be cut.
            acknowledged.update(line for line in child.stdout if line.endswith(b"\n"))
    return {line.decode().strip() for line in acknowledged if line}


def units_in(folder: Path) -> dict[str, int]:
    """Count the events of each unit that stand in the journal."""
    counts: dict[str, int] = {}
    journal = open_journal(folder)
    after_seq = 0
    while records := journal.read(Query(after_seq=after_seq, limit=10_000)):
        after_seq = records[-1].seq
        for record in records:
            if record.event.subject != "journal":
                unit = record.event.id.rpartition("-")[0]
                counts[unit] = counts.get(unit, 0) + 1
    journal.close()
    return counts


def check(folder: Path, acknowledged: set[str]) -> Verification:
    """Every acknowledged unit is there, every unit is whole, and the chain holds."""
    counts = units_in(folder)
    assert acknowledged <= counts.keys(), sorted(acknowledged - counts.keys())[:5]
    assert set(counts.values()) <= {UNIT}
    return verify_journal(folder)
