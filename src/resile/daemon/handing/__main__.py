"""`python -m resile.daemon.handing STATE -- COMMAND...`: gives a service its secrets, and becomes the service.

It runs in the service's own control group, so that the secretkeeper knows whose secrets are asked for. It
puts them into the environment, or as files into a folder that no other process sees, and executes the
command: same pid, same signals, same sockets. A value is in no argument and in no file on a disk.

It imports little: every start of a service waits for it.
"""

import binascii
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from resile.core.clock import SYSTEM_CLOCK
from resile.daemon.handing.errors import AwayError, HandingError
from resile.daemon.handing.line import Line

DEADLINE_S = 20.0
"""So long a keeper that is being started, or a provider that is away, is waited for."""
AGAIN_S = 0.05
FOLDER_VARIABLE = "RESILE_SECRETS_DIR"

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Become the command, with its secrets; or say why not, and end."""
    state, _, *command = sys.argv[1:] if arguments is None else arguments
    try:
        environ = _with_secrets(Path(state), os.environ)
        _become(command, environ)
    except HandingError as exc:
        sys.stderr.write(f"resile: the service cannot start: {exc}\n")
    except OSError as exc:
        what = exc.filename or command[:1]
        sys.stderr.write(f"resile: the service cannot start: {what}: {exc.strerror}\n")
    sys.exit(1)


def _become(command: Sequence[str], environ: Mapping[bytes, bytes]) -> NoReturn:
    # Python ignores these two, and what is ignored would stay so in the command.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], list(command), dict(environ))  # noqa: S606 - no shell is meant


def _with_secrets(state: Path, environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Give the environment of the service, with what it is given in it or named by it."""
    socket = state / "run" / "secrets.sock"
    given, values = _asked(socket, _all)
    made = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
    files: dict[str, bytes] = {}
    for one in given["secrets"]:
        name, (_, value) = one["name"], values[one["name"]]
        if one["deliver"] == "file":
            files[name] = value
        elif b"\0" in value:
            raise HandingError(f"secret {name!r} has a zero byte, which no variable can have")
        else:
            made[one["variable"].encode()] = value
    folder = ""
    if files:
        from resile.daemon.handing.folder import lay_files  # Here, as few services need it.

        folder = lay_files(files, given["mount"], given["folders"])
        made[FOLDER_VARIABLE.encode()] = os.fsencode(folder)
    versions = {name: number for name, (number, _) in values.items()}
    _asked(socket, lambda line: line.ask("handed", versions=versions, folder=folder))
    return made


def _asked(socket: Path, ask: Callable[[Line], T]) -> T:
    """Ask a keeper, or the next one if it is killed meanwhile, until it answers or time is over."""
    deadline_s = SYSTEM_CLOCK.monotonic() + DEADLINE_S
    while True:
        try:
            with Line(socket) as line:
                return ask(line)
        except AwayError as exc:
            if SYSTEM_CLOCK.monotonic() >= deadline_s:
                raise HandingError(f"its secrets cannot be had: {exc}") from exc
        SYSTEM_CLOCK.sleep(AGAIN_S)


def _all(line: Line) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """Give how each secret is to be handed over, and by its name the version and the value."""
    given = line.ask("hand")
    values = {}
    for one in given["secrets"]:
        secret = line.ask("read", name=one["name"], version="current")["secret"]
        values[one["name"]] = (secret["version"], binascii.a2b_base64(secret["value"]))
    return given, values


if __name__ == "__main__":
    main()
