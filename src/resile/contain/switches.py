"""What turns contained runs off: switches for each part, and the hold that refuses new ones at once.

A part that is off never makes a run less contained without a word. Off as a whole, nothing is run.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from resile.core.clock import Clock
from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_durable
from resile.core.vocabulary import Part
from resile.errors import ConfigError, OperationError, RejectedError

if TYPE_CHECKING:
    from resile.contain.runs import Runs

VARIABLES = {
    "is_enabled": "RESILE_CONTAIN__ENABLED",
    "is_observed": "RESILE_CONTAIN__OBSERVER",
    "has_overlay": "RESILE_CONTAIN__OVERLAY",
}
"""What sets each switch from outside, as for any setting of `resile.toml`."""
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_HOLD = "held"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Which parts are on.

    Args:
        is_enabled: Commands may be run. Off: each is refused, none is run uncontained.
        is_observed: What is forbidden is told to the supervisor, which may end the run for it. Off:
            the kernel refuses it all the same, and nobody is told.
        has_overlay: Workspaces are staged on overlays. Off: they are copied, which is slower.
    """

    is_enabled: bool = True
    is_observed: bool = True
    has_overlay: bool = True

    def check(self) -> None:
        """Refuse to run anything if it is off.

        Raises:
            RejectedError: If contained runs are switched off.
        """
        if not self.is_enabled:
            raise RejectedError(
                "contained runs are switched off, and nothing is run uncontained instead",
                hint=f"set enabled = true in [contain] of resile.toml, or {VARIABLES['is_enabled']}"
                "=true",
            )

    @property
    def warning(self) -> str:
        """Say what is given up; empty if nothing is."""
        if self.is_observed:
            return ""
        return "the observer is switched off: what is forbidden is refused, and nobody is told"

    @property
    def environ(self) -> Mapping[str, str]:
        """Give what tells other processes the same; empty if everything is on."""
        return {
            variable: "false" for name, variable in VARIABLES.items() if not getattr(self, name)
        }


ALL_ON = Switches()


def switches_of(environ: Mapping[str, str]) -> Switches:
    """Read the switches where there is no configuration to read them from.

    Raises:
        ConfigError: If one is neither true nor false.
    """
    found = {}
    for name, variable in VARIABLES.items():
        if (text := environ.get(variable)) is None:
            continue
        if text.lower() not in _WORDS:
            raise ConfigError(f"{variable} is {text!r}", hint="write true or false")
        found[name] = _WORDS[text.lower()]
    return Switches(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """New runs are refused until somebody lets them begin again.

    Args:
        who: Held them.
        why: For whoever is refused; may be empty.
        at: When; None if that cannot be read.
    """

    who: str
    why: str = ""
    at: datetime | None = None


def hold_runs(runs: "Runs", hold: Hold) -> None:
    """Refuse new runs of this user from now on, also after a restart. Durable.

    A run that begins meanwhile has written its record before it looks for the hold: whoever lists
    the records after this returned sees it, or it sees the hold.

    Raises:
        OperationError: If it cannot be written.
    """
    make_private_dir(runs.folder)
    data = {"version": _VERSION, **encode(hold)}
    write_durable(runs.folder / _HOLD, json.dumps(data).encode())


def resume_runs(runs: "Runs") -> bool:
    """Let runs begin again; False if they were not held.

    Raises:
        OperationError: If the hold cannot be removed.
    """
    path = runs.folder / _HOLD
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise OperationError(
            f"{path} cannot be removed: {exc.strerror}", hint="remove it by hand; it holds new runs"
        ) from exc
    return True


def held(runs: "Runs") -> Hold | None:
    """Tell who holds new runs; None if nobody does. What cannot be read holds them, too."""
    path = runs.folder / _HOLD
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        return Hold(who="somebody", why=f"{path} cannot be read: {exc.strerror}")
    with contextlib.suppress(ValueError):
        return decode(Hold, json.loads(content))
    return Hold(who="somebody", why=f"{path} cannot be read")


def check_parts(state: Path, *, clock: Clock) -> None:
    """Refuse if somebody switched contained runs off for a while.

    Raises:
        RejectedError: If they are off.
        OperationError: If nobody can tell.
    """
    from resile.core.switch_file import check_switch, switches_file

    if switches_file(state).exists():
        check_switch(state, Part.RUNS, now=clock.now())


def check_hold(runs: "Runs") -> None:
    """Refuse if new runs are held.

    Raises:
        RejectedError: If they are.
    """
    hold = held(runs)
    if hold is not None:
        why = f": {hold.why}" if hold.why else ""
        raise RejectedError(
            f"new contained runs are held by {hold.who}{why}",
            hint="`resile resume` lets them begin again",
        )
