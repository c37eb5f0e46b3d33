"""Call a function in a contained process, which is killed whole when its time is over."""

import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from resile.contain.api import run
from resile.contain.callee import function_of
from resile.contain.model import GIB, Limits, Network, Outcome
from resile.core.vocabulary import RunReason
from resile.errors import ConfigError, OperationError
from resile.policies.lateness import too_slow

_PROGRAM: Final = Path(__file__).with_name("callee.py")
_OUTPUT_BYTES: Final = GIB // 4
"""The largest result. It is held in memory twice while it is unpacked."""
_WRAPPERS_MAX: Final = 100
"""Wrappers around one function; more is a circle."""
_OWN_TMP: Final = "/tmp"  # noqa: S108 - the run has its own, so ours must be shown
_GRACE_S: Final = 0.05


def call_in_process(
    call: "partial[Any]",
    seconds: float,
    name: str,
    *,
    contained: Callable[..., Outcome] = run,
) -> Any:
    """Call a function in a process of its own; blocks until nothing of it lives.

    The function is found again by its module and name, below its guards; arguments and result are
    pickled. The process has our environment, the network and all processors, reads files but
    changes none, and has its own /tmp. Starting it takes some 50 ms, which count. Safe to call from
    any thread.

    Args:
        call: The function with its arguments.
        seconds: Above this, all of its processes are killed.
        name: The guard's name, for errors.
        contained: Runs the command. Default: `resile.run`.

    Raises:
        TimeoutExceededError: If it took longer.
        ConfigError: If the call cannot be sent.
        OperationError: If the process ended without an answer.
        BaseException: What the function raised, with a note of where.
    """
    shown = [Path(entry) for entry in sys.path if entry.startswith(f"{_OWN_TMP}/")]
    outcome = contained(
        [sys.executable, str(_PROGRAM)],
        limits=_limits(seconds),
        env=dict(os.environ),
        cwd=Path.cwd(),
        stdin=_packed(call, name),
        shown=[path for path in shown if path.exists()],
    )
    if outcome.reason is RunReason.TIMEOUT:
        raise too_slow(name, seconds)
    return _answer(outcome, name)


def _limits(seconds: float) -> Limits:
    """Limit the time alone, and what would bring the machine down."""
    return Limits(
        time_s=seconds,
        cpu_share=float(os.cpu_count() or 1),
        memory=0.75,
        processes=4096,
        files=65_536,
        output_bytes=_OUTPUT_BYTES,
        network=Network.HOST,
        grace_s=_GRACE_S,
    )


def _packed(call: "partial[Any]", name: str) -> bytes:
    """Pack a call for the other process.

    Raises:
        ConfigError: If it cannot be found or pickled there.
    """
    place = _place_of(call.func, name)
    try:
        payload = pickle.dumps((place, call.args, call.keywords))
    except Exception as exc:
        raise ConfigError(
            f"the arguments of {name!r} cannot be sent to a process: {exc}",
            hint="pass values that can be pickled, such as texts, numbers and paths",
        ) from exc
    return pickle.dumps(([entry or str(Path.cwd()) for entry in sys.path], payload))


def _place_of(function: object, name: str) -> tuple[str, str, int]:
    """Tell where a function is found again: its module, its name, and below how many wrappers."""
    if isinstance(function, BuiltinFunctionType):
        raise ConfigError(
            f"{name!r} cannot be called in a process: {function!r} is a builtin, not written in Python",
            hint="call it in a function of your own, with `def` at the top of a module, "
            "and guard that one",
        )
    module, path = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if isinstance(function, FunctionType) and module != "__main__" and "<" not in path:
        for depth in range(_WRAPPERS_MAX):
            try:
                if function_of(module, path, depth) is function:
                    return module, path, depth
            except AttributeError:
                break
    raise ConfigError(
        f"{name!r} cannot be called in a process: {function!r} is not found there by its name",
        hint="define it with `def` at the top of a module that can be imported",
    )


def _answer(outcome: Outcome, name: str) -> Any:
    """Give the result, or raise the error, of a process that ended in time."""
    try:
        is_result, value, trace = pickle.loads(outcome.stdout)  # noqa: S301 - our own program's
    except Exception as exc:
        said = outcome.message or outcome.stderr[-500:].decode(errors="replace").strip()
        raise OperationError(
            f"the process of {name!r} ended without an answer: {said or outcome.reason}",
            hint="see what it wrote: resile runs",
        ) from exc
    if is_result:
        return value
    value.add_note(f"raised in the process of {name!r}:\n{trace}")
    raise value
