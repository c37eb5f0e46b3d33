"""The door of the command: the one place where errors become lines for people, and exit codes.

Nothing but the standard library is imported here, so that even a missing package is told in
words. A user's mistake never gives a traceback.
"""

import contextlib
import errno
import gc
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from resile.errors import MissingExtraError, OperationError, ResileError

_EXTRA = frozenset(
    {
        "blake3",
        "click",
        "cryptography",
        "fastapi",
        "google_crc32c",
        "psycopg",
        "pydantic",
        "pydantic_core",
        "pyfastcdc",
        "rich",
        "starlette",
        "uvicorn",
        "zstandard",
    }
)
"""What `resile[daemon]` installs; a missing one of these is no fault of ours."""

_COLLECT_EVERY = 50_000
_DISK_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def main() -> NoReturn:
    """Run the command with the process's own arguments, and exit.

    Everything is closed by then; taking the interpreter apart would cost another 15 ms.
    """
    code = run(sys.argv[1:])
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError:
        code = code or 1  # Nobody reads it, or the disk under it is full.
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command; give its exit code. Prints every error itself."""
    as_json = "--json" in arguments
    # Loading makes many objects that stay: collecting among them costs a tenth of the start.
    gc.set_threshold(_COLLECT_EVERY)
    try:
        from resile.cli.app import invoke

        return invoke(arguments)
    except ResileError as exc:
        return _tell(exc, as_json=as_json)
    except ModuleNotFoundError as exc:
        return _tell(_missing(exc), as_json=as_json)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except Exception as exc:  # noqa: BLE001 - the last stop: a traceback is no answer to a user
        if os.environ.get("RESILE_DEBUG") == "1":
            import traceback  # Only who looks for a mistake of ours needs it.

            traceback.print_exc()
        return _tell(_unexpected(exc), as_json=as_json)


def _tell(error: ResileError, *, as_json: bool) -> int:
    """Print an error: on stderr for people, on stdout as JSON."""
    problems = getattr(error, "problems", ())
    if as_json:
        answer: dict[str, Any] = {
            "error": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        if problems:
            answer["problems"] = list(problems)
        if hasattr(error, "seq"):
            answer["seq"] = error.seq
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return error.exit_code
    print(f"error: {error.message}", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _missing(error: ModuleNotFoundError) -> ResileError:
    name = (error.name or "").partition(".")[0]
    if name not in _EXTRA:
        return _unexpected(error)
    return MissingExtraError(
        f"the command needs the package {name}, which is not installed",
        hint="pip install 'resile[daemon]'",
    )


def _unexpected(error: Exception) -> ResileError:
    if isinstance(error, OSError) and error.errno in _DISK_FAILS:
        return OperationError(
            f"{error.filename or 'the answer'} could not be written: {error.strerror}",
            hint="what was asked for may be done: look, then make room and ask again",
            is_transient=True,
        )
    return ResileError(
        f"unexpected {type(error).__name__}: {error}",
        hint="this is a mistake in resile itself; run it again with RESILE_DEBUG=1 and report "
        "what it prints, with the output of `resile doctor`",
    )


def _reader_left() -> int:
    """End quietly when whoever read our output (`| head`) has gone."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
