"""Rotates in processes of its own, which may be killed: `python -m tests.support.rotation_child`.

It reads a job from each line of its input, does it in a fork of itself, and says `{"pid": ...}` when that
begins, `{"result": ...}` if it comes to its end, and `{"status": ...}` when it has ended. A fork is ready
at once, where a new interpreter would take half a second.
"""

import json
import os
import random
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.lives import Life
from tests.support.rotation_hub import NAME, FarHub

from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason
from resile.secrets.providers.opening import open_provider
from resile.secrets.rotation import Book, Rotations
from resile.secrets.rotators.opening import open_rotator

KILLED = 9
RESUME_S = 30.0


_NEEDED = (
    "cryptography.hazmat.primitives.ciphers.aead",
    "httpx",
    "psycopg.conninfo",
    "psycopg.pq",
    "resile.secrets.providers.local",
    "resile.secrets.providers.vault",
    "resile.secrets.rotators.postgres",
)
"""What each fork would load for itself."""


def main() -> None:
    for module in _NEEDED:
        import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _do(json.loads(line))
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"status": os.waitstatus_to_exitcode(status)})


def _do(job: dict[str, Any]) -> None:
    code = 1
    try:
        say({"result": run(job)})
        code = 0
    except BaseException as exc:  # noqa: BLE001 - it is said, and the fork ends here in any case
        say({"error": f"{type(exc).__name__}: {exc}"})
    finally:
        os._exit(code)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job, which may end this process.

    Args:
        job: `state`: the folder; `provider`, `rotator`: tables; `hub`: its socket; `dies_at`: a point, 0 for
            none; `reason`: why to rotate; empty: go on with what is open.
    """
    began_s = time.monotonic()
    life = Life(job["dies_at"], die=lambda: os._exit(KILLED))
    state = Path(job["state"])
    provider = open_provider(job["provider"], state=state, environ={})
    rotations = Rotations(
        life.mortal(provider),
        {NAME: life.mortal(open_rotator(job["rotator"], provider=provider))},
        book=life.mortal(Book(state / "rotations.db")),
        consumers=life.mortal(FarHub(job["hub"])),
        tell=lambda _: None,
        clock=SYSTEM_CLOCK,
        random=random.Random(),
    )
    if job["reason"]:
        report = rotations.rotate(NAME, reason=RotationReason(job["reason"]), who="the test")
        outcome, cut = report.outcome, report.cut
    else:
        outcome, cut = _resume(rotations), ()
    return {
        "outcome": outcome,
        "cut": cut,
        "points": life.points,
        "took_s": time.monotonic() - began_s,
        "open": len(rotations.open()),
    }


def _resume(rotations: Rotations) -> str | None:
    """Go on until nothing is open; give how the last one ended."""
    rotations.resume(patience_s=RESUME_S)
    until_s = time.monotonic() + RESUME_S
    while rotations.open() and time.monotonic() < until_s:
        rotations.step_due(SYSTEM_CLOCK.now())
        time.sleep(0.01)
    ended = rotations.ended(1)
    return ended[0].outcome if ended else None


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
