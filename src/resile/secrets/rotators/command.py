"""Rotate by any program: called once for each step, with the turn on its standard input.

`PROGRAM ARGUMENT... STEP`, where STEP is `prepare`, `set`, `verify`, `retire` or `abort`. What it writes
on its standard output at `prepare` is the candidate. A program that fails may say why there, in a line
that begins with `resile: `; all else that it writes is dropped, as it may hold a value.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.spawning import Completed, run_bounded
from resile.errors import OperationError
from resile.secrets.forms import forms_of
from resile.secrets.model import VALUE_BYTES_MAX, Turn
from resile.secrets.port import Provider
from resile.secrets.value import HIDDEN, Secret

SAID: Final = b"resile: "
SAID_LENGTH_MAX: Final = 200
SECRET_LENGTH_MIN: Final = 4
"""What is shorter stands in any text."""


class CommandRotator:
    """Leaves each step to a program. Safe to share between threads.

    Args:
        command: The program and its arguments; the step is added. It gets our environment.
        timeout_s: For one step, above 0; then it is killed, with all of its process group.
        has_overlap: Whether the old and the new credential work side by side until `retire`.
        clock: Measures the time.
    """

    kind: Final = "command"

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout_s: float = 30.0,
        has_overlap: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._has_overlap = has_overlap
        self._clock = clock

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        provider: Provider,  # noqa: ARG003 - every rotator is opened with the same
        clock: Clock,
    ) -> Self:
        """Open what the table `rotator` says."""
        return cls(
            settings["command"],
            timeout_s=settings.get("timeout", 30.0),
            has_overlap=settings.get("overlap", False),
            clock=clock,
        )

    @property
    def has_overlap(self) -> bool:
        """As was said of it."""
        return self._has_overlap

    def prepare(self, turn: Turn) -> bytes:
        """Take the candidate from what the program writes, without one line end at the last.

        Raises:
            OperationError: If it fails, is too slow, or writes nothing or too much; transient.
        """
        written = self._run("prepare", turn).removesuffix(b"\n")
        if not 1 <= len(written) <= VALUE_BYTES_MAX:
            raise OperationError(
                f"{self._command[0]} prepare wrote {len(written)} bytes",
                hint=f"the candidate is what it writes on its standard output, 1 to {VALUE_BYTES_MAX}",
                is_transient=True,
            )
        return written

    def set(self, turn: Turn) -> None:
        """Let the program do it."""
        self._run("set", turn)

    def verify(self, turn: Turn) -> None:
        """Let the program do it."""
        self._run("verify", turn)

    def retire(self, turn: Turn) -> None:
        """Let the program do it."""
        self._run("retire", turn)

    def abort(self, turn: Turn) -> None:
        """Let the program do it."""
        self._run("abort", turn)

    def _run(self, step: str, turn: Turn) -> bytes:
        ended = run_bounded(
            (*self._command, step),
            timeout_s=self._timeout_s,
            # One byte above the largest value and its line end, so that a longer one is seen.
            output_bytes_max=VALUE_BYTES_MAX + 2,
            given=json.dumps(_said(step, turn)).encode(),
            keeps_errors=False,
            clock=self._clock,
        )
        if ended.exit_code != 0 or ended.is_timed_out:
            how = self._how(ended)
            raise OperationError(
                f"{self._command[0]} {step} {how}{_reason(ended.output, turn)}",
                hint=f"a line that begins with {SAID.decode()!r} on its standard output says why",
                is_transient=True,
            )
        return ended.output

    def _how(self, ended: Completed) -> str:
        if ended.is_timed_out:
            return f"took longer than {self._timeout_s:g} s, and was killed"
        if ended.signal:
            return f"was ended by {ended.signal}"
        return f"ended with exit code {ended.exit_code}"


def _said(step: str, turn: Turn) -> dict[str, Any]:
    return {
        "step": step,
        "rotation_id": turn.rotation_id,
        "name": turn.name,
        "reason": turn.reason,
        "before": _shown(turn.before),
        "after": _shown(turn.after),
    }


def _shown(secret: Secret | None) -> dict[str, str] | None:
    """Write a secret for the program: its value as text if it is one, and in base 64 in any case."""
    if secret is None:
        return None
    value = secret.reveal_bytes()
    shown = {"version": secret.version, "value_base64": base64.b64encode(value).decode()}
    try:
        return {**shown, "value": value.decode()}
    except UnicodeDecodeError:
        return shown


def _reason(output: bytes, turn: Turn) -> str:
    """Give what the program says of its failure, without the values that it was given."""
    for line in output.splitlines():
        if line.startswith(SAID):
            text = line.removeprefix(SAID).decode(errors="replace")
            for hidden in _hidden(output, turn):
                text = text.replace(hidden, HIDDEN)
            return f": {text[:SAID_LENGTH_MAX]}"
    return ""


def _hidden(output: bytes, turn: Turn) -> list[str]:
    """Give every text that must not be shown, the longest first.

    What else it has written is one, too: a candidate of `prepare` is in no turn yet.
    """
    written = (one for one in output.splitlines() if not one.startswith(SAID))
    found = {one.decode(errors="replace").strip() for one in written}
    for secret in (turn.before, turn.after):
        if secret is None:
            continue
        found.add(secret.reveal_bytes().decode(errors="replace"))
        found |= forms_of(secret)
        try:
            found.update(secret.fields().values())
        except OperationError:
            continue
    return sorted((one for one in found if len(one) >= SECRET_LENGTH_MIN), key=len, reverse=True)
