"""The program in which a contained call runs: reads it from standard input, writes what came of it.

It is started as a script, so that it loads nothing of resile, and takes the search path of its
caller. What the call prints goes to standard error; standard output is for the result alone.
"""

import os
import pickle
import sys
import traceback
from importlib import import_module
from typing import Any


def main() -> None:
    """Make the call that is asked for, and tell its result or its error."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    path, payload = pickle.load(sys.stdin.buffer)  # noqa: S301 - the caller is who started us
    sys.path[:] = path
    try:
        target, args, named = pickle.loads(payload)  # noqa: S301 - as above
        told = _packed(True, function_of(*target)(*args, **named), "")
    except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
        told = _packed(False, error, traceback.format_exc())
    with answer:
        answer.write(told)


def function_of(module: str, name: str, depth: int) -> Any:
    """Give a function by its place, below so many wrappers."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    for _ in range(depth):
        found = found.__wrapped__
    return found


def _packed(is_result: bool, value: object, trace: str) -> bytes:
    """Pack an answer; what cannot be sent becomes an error that says so."""
    try:
        packed = pickle.dumps((is_result, value, trace))
        pickle.loads(packed)  # noqa: S301 - it was packed in the line before
    except Exception as exc:  # noqa: BLE001 - any class may refuse in any way
        said = f"{value!r} cannot be sent back: {exc}" if is_result else f"{value!r}"
        return pickle.dumps((False, RuntimeError(said), trace))
    return packed


if __name__ == "__main__":
    main()
