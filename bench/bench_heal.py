"""The example, broken again and again at random, and healed by nobody but itself.

RESILE_HEAL_FAULTS says how many faults are injected, by default 200, which takes half an hour;
RESILE_HEAL_SEED repeats a run. `python -m bench.bench_heal 30` injects 30.

Single faults and pairs, on random targets at random times; what lasts is not taken back before the system
is well again, but for what passes by itself after some seconds. A round is healed if all is well within a
minute: every service and check is UP, scripts run, and what must not be lost is as it was. What is not
healed is escalated if somebody was told, else it is stuck. Its time counts from the last fault, or from the
end of what passes.
"""

import contextlib
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.example_daemon import SERVICES, Example

from resile.chaos import Injector, UndoRecord, Wish, find_fault, open_host
from resile.chaos.arguments import read_arguments
from resile.core.process import identity_of
from resile.errors import ResileError

FAULTS = 200
PATIENCE_S = 60.0
STEADY_S = 2.0
"""It has to stay well for so long."""
FOUND_S_MAX = 75.0
"""The example reads its store, and what must not be lost, each minute."""
MEMORY = "/dev/shm"
"""There single bits can rot below the file system."""
PACKS = "data/store/packs"
"""A bit that is flipped in a live file by a write is a change by somebody; in a pack it is damage."""
PASSES_S = 6.0
"""After so long a port, a lock or a pool is given back."""
PAIRS = 0.4
GAP_S_MAX = 2.0
SCRIPT = "print(40 + 2)"
TOLD = ("fault.escalated", "incident.opened", "plan.proposed")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of fault: what it hits, and with which options."""

    name: str
    targets: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    passes_s: float = 0.0
    """It is taken back after so long; 0: only when all is well."""
    patience_s: float = PATIENCE_S
    weight: float = 1.0
    """How often it is chosen. What is found in a minute only would fill the hours of a run."""


_EACH = tuple(f"service/{name}" for name in SERVICES)
KINDS = (
    Kind(name="process.kill", targets=(*_EACH, "brain")),
    Kind(name="process.segv", targets=_EACH),
    Kind(name="process.stop", targets=_EACH),
    Kind(name="process.hang", targets=_EACH),
    Kind(name="descriptors.exhaust", targets=_EACH),
    Kind(name="memory.pressure", targets=_EACH, options={"size": "1GiB", "victim": "service"}),
    Kind(
        name="disk.bitflip",
        targets=(PACKS,),
        patience_s=FOUND_S_MAX + PATIENCE_S,
        weight=0.25,
    ),
    Kind(
        name="disk.rot",
        targets=("data/knowledge/prices.json", "data/policy/policy.db"),
        patience_s=FOUND_S_MAX + PATIENCE_S,
        weight=0.25,
    ),
    Kind(name="cpu.quota", targets=_EACH, options={"share": "2%"}, passes_s=PASSES_S),
    Kind(name="threads.exhaust", targets=_EACH, passes_s=PASSES_S),
    Kind(name="database.lock", targets=("data/policy/policy.db",), passes_s=PASSES_S),
    Kind(name="port.taken", targets=("reasoner", "outside", "dispatcher"), passes_s=3.0),
    Kind(name="pool.exhaust", targets=("reasoner", "outside", "dispatcher"), passes_s=PASSES_S),
    Kind(name="secret.expire", targets=("secret/db/policy", "secret/api/reasoner")),
)
PORTS = {"dispatcher": "8481", "reasoner": "8482", "outside": "8483"}


@dataclass(kw_only=True)
class Round:
    """What came of one or two faults at once."""

    faults: tuple[str, ...]
    took_s: float = 0.0
    verdict: str = ""
    why: str = ""
    told: tuple[str, ...] = ()


class Breaker:
    """Breaks a running example, and looks how it does."""

    def __init__(self, example: Example, chance: random.Random) -> None:
        self._example = example
        self._chance = chance
        self._host = open_host(example.state_dir(), example.folder)
        self._seq = 0
        self._kept = {path: content_of(path) for path in kept_files(example)}

    def round(self, count: int) -> Round:
        """Inject so many faults, wait for what comes of it, and clear up what it left."""
        injector = Injector(self._host, tell=lambda _: None, who="bench")
        self._mark()
        names, after_s, patience_s = [], 0.0, 0.0
        for number in range(count):
            if number:
                time.sleep(self._chance.uniform(0, GAP_S_MAX))
            name, kind = self._inject(injector)
            names.append(name)
            patience_s = max(patience_s, kind.patience_s)
            after_s = max(after_s, time.monotonic() + kind.passes_s)
        found = Round(faults=tuple(names))
        self._wait(found, injector, after_s, patience_s)
        found.told = tuple(sorted({kind for kind in self._since() if kind in TOLD}))
        if not found.verdict:
            found.verdict = "escalated" if found.told else "STUCK"
        for record in injector.active:
            with contextlib.suppress(ResileError):
                injector.end(record, why="the round is over", timeout_s=10.0)
        if found.verdict != "healed":
            self._help()
        return found

    def _help(self) -> None:
        """Do what a person does who was told: start what is down."""
        deadline_s = time.monotonic() + PATIENCE_S
        while why := self._trouble():
            if time.monotonic() > deadline_s:
                raise SystemExit(f"not even a person could help: {why}")
            for name in SERVICES:
                self._example.resile("start", name)
            time.sleep(1)

    def _inject(self, injector: Injector) -> tuple[str, Kind]:
        """Inject one at random; another one if that is not possible just now."""
        while True:
            (kind,) = self._chance.choices(KINDS, [one.weight for one in KINDS])
            target = self._chance.choice(kind.targets)
            if target == PACKS:
                target = self._pack()
            wish = _wish(kind, target, self._example)
            try:
                injector.inject(wish)
            except ResileError as exc:
                if not isinstance(exc.__cause__, OSError) and "does not run" not in exc.message:
                    print(f"   {kind.name} {target}: {exc.message}", flush=True)
                time.sleep(0.1)
            else:
                return f"{kind.name} {target.removeprefix('service/')}", kind

    def _wait(self, found: Round, injector: Injector, began_s: float, patience_s: float) -> None:
        well_since_s: float | None = None
        while True:
            now_s = time.monotonic()
            found.why = self._lasting(injector.active) or self._trouble()
            if found.why:
                well_since_s = None
            elif well_since_s is None:
                well_since_s = now_s
            elif now_s - well_since_s >= STEADY_S and now_s >= began_s + STEADY_S:
                found.verdict, found.took_s = "healed", max(0.0, well_since_s - began_s)
                return
            if now_s - began_s > patience_s:
                return
            time.sleep(0.05)

    def _pack(self) -> str:
        packs = sorted((self._example.folder / PACKS).iterdir())
        return str(self._chance.choice(packs).relative_to(self._example.folder))

    def _lasting(self, records: Sequence[UndoRecord]) -> str:
        """Tell which fault is active still, though it is none that is over at once; empty if none is."""
        for record in records:
            fault = find_fault(record.fault)
            if not fault.is_momentary and fault.verify_active(record, self._host).holds:
                return f"{record.fault} {record.target} is active still"
        return ""

    def _trouble(self) -> str:
        """Tell what is not well; empty if all is."""
        try:
            status = self._example.get("/api/status")
            bad = [s for s in status["services"] if not _is_well(s)]
            checks = [c for c in status["checks"] if c["state"] != "UP"]
            if bad or checks:
                one = bad[0] if bad else checks[0]
                return f"{one.get('name') or one['id']} is {one.get('phase', '')} {one['state']}"
            answer = self._example.dispatch(SCRIPT)
            lost = [path.name for path, was in self._kept.items() if content_of(path) != was]
        except (OSError, ValueError, KeyError, sqlite3.Error) as exc:
            return f"{type(exc).__name__}: {exc}"
        if not answer.get("is_committed"):
            return f"a script was not run: {answer}"
        return f"{lost[0]} is not as it was" if lost else ""

    def _mark(self) -> None:
        """Remember where the journal ends."""
        while True:
            with contextlib.suppress(OSError):
                path = f"/api/events?after_seq={self._seq}&limit=1000"
                if not (events := self._example.get(path)["events"]):
                    return
                self._seq = events[-1]["seq"]
            time.sleep(0.05)

    def _since(self) -> list[str]:
        """List what has happened since, by its kind."""
        with contextlib.suppress(OSError):
            path = f"/api/events?after_seq={self._seq}&limit=1000"
            return [event["kind"] for event in self._example.get(path)["events"]]
        return []


def main() -> None:
    """Print how many were healed, and how soon."""
    count = int(os.environ.get("RESILE_HEAL_FAULTS", str(FAULTS)))
    seed = int(os.environ.get("RESILE_HEAL_SEED", str(random.randrange(2**32))))
    print(f"seed {seed}, {count} faults")
    with (
        tempfile.TemporaryDirectory(prefix="resile-heal-", dir=MEMORY) as folder,
        example(Path(folder)) as found,
    ):
        rounds = break_often(Breaker(found, random.Random(seed)), random.Random(seed), count)
    report(rounds)


def break_often(breaker: Breaker, chance: random.Random, count: int) -> list[Round]:
    """Inject so many faults, alone and in pairs."""
    rounds: list[Round] = []
    left = count
    while left > 0:
        size = min(left, 2 if chance.random() < PAIRS else 1)
        left -= size
        time.sleep(chance.uniform(0, 1))
        found = breaker.round(size)
        rounds.append(found)
        words = " + ".join(found.faults)
        print(f"   {found.verdict} after {found.took_s:.2f} s: {words} {found.told}", flush=True)
        if found.verdict != "healed":
            print(f"      {found.why}", flush=True)
    return rounds


def report(rounds: Sequence[Round]) -> None:
    """Print the bars."""
    total = sum(len(one.faults) for one in rounds)
    by = {
        word: sum(len(one.faults) for one in rounds if one.verdict == word)
        for word in ("healed", "escalated", "STUCK")
    }
    times = sorted(one.took_s for one in rounds if one.verdict == "healed")
    print("bar | target | measured")
    print(f"healed without a person, of {total} | >= 95 % | {by['healed'] / total:.1%}")
    print(f"escalated | the rest | {by['escalated']}")
    print(f"silently stuck | 0 | {by['STUCK']}")
    if times:
        p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
        print(f"recovery | | median {statistics.median(times):.2f} s, 95 %: {p95:.2f} s")


@contextlib.contextmanager
def example(folder: Path) -> Iterator[Example]:
    """Run a copy of the example, until it is well."""
    found = Example(folder / "example")
    try:
        found.up()
        found.wait_up(*SERVICES)
        wait_kept(found)
        yield found
    finally:
        found.destroy()


def _is_well(service: dict[str, Any]) -> bool:
    """Tell whether a service runs and is UP; its daemon may not know yet that it has just ended."""
    if service["phase"] != "running" or service["state"] != "UP":
        return False
    return identity_of(service["pid"]) is not None


def wait_kept(example: Example) -> None:
    """Wait until what must not be lost is kept on both sides."""
    deadline_s = time.monotonic() + 2 * PATIENCE_S
    while example.kinds().count("store.replicated") < 2:
        if time.monotonic() > deadline_s:
            raise SystemExit("nothing was kept within two minutes")
        time.sleep(0.2)


def _wish(kind: Kind, target: str, example: Example) -> Wish:
    options = dict(kind.options)
    if kind.name in ("port.taken", "pool.exhaust"):
        if kind.name == "port.taken":
            options["holder"] = f"service/{target}"
        target = f"127.0.0.1:{example.ports[PORTS[target]]}"
    arguments, problems = read_arguments(find_fault(kind.name).parameters, options)
    if problems:
        raise AssertionError(f"{kind.name}: {problems}")
    ttl_s = kind.passes_s or 2 * kind.patience_s
    return Wish(fault=kind.name, target=target, arguments=arguments, ttl_s=ttl_s)


def kept_files(example: Example) -> list[Path]:
    """List what must not be lost."""
    return [*(example.data / "knowledge").iterdir(), example.data / "policy" / "policy.db"]


def content_of(path: Path) -> bytes:
    """Read a file; of a database what is in it, as a mended one has other bytes."""
    if path.suffix != ".db":
        return path.read_bytes()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return "\n".join(database.iterdump()).encode()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ["RESILE_HEAL_FAULTS"] = sys.argv[1]
    main()
