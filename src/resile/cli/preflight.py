"""What must be so before the daemon is started; everything that is not so is told at once."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from resile.cli.places import Places
from resile.cli.ports import port_problem
from resile.core.config import Config
from resile.core.files import make_private_dir, try_lock
from resile.core.unix import connect_unix
from resile.errors import AlreadyRunningError, ConfigError, OperationError

_CONNECT_TIMEOUT_S = 1.0


def check_ready_to_start(config: Config, places: Places, *, environ: Mapping[str, str]) -> None:
    """Make the state folders, and look for everything that would keep the daemon from starting.

    A socket that a dead daemon left is removed.

    Raises:
        AlreadyRunningError: If a guard lives for this folder.
        ConfigError: With every other obstacle in `problems`.
    """
    problems = list(_folder_problems(places))
    if not problems:
        refuse_second(places)
        problems += _socket_problems(places)
    problems += _program_problems(config, places, environ)
    problems += playbook_problems(config, places, environ=environ)
    problems += _http_problems(config)
    if problems:
        count = "1 thing keeps" if len(problems) == 1 else f"{len(problems)} things keep"
        raise ConfigError(
            f"{count} resile from starting; nothing was started",
            hint=f"mend this in {places.config.name} or on this machine, then `resile up` again",
            problems=tuple(problems),
        )


def refuse_second(places: Places) -> None:
    """Hold the guard's lock for a moment.

    Raises:
        AlreadyRunningError: If somebody holds it.
    """
    lock = try_lock(places.lock)
    if lock is None:
        raise AlreadyRunningError(
            f"resile runs already for {places.config.parent}",
            hint="see it with `resile status`, end it with `resile down`",
        )
    lock.close()


def _folder_problems(places: Places) -> Iterator[str]:
    try:
        places.logs.mkdir(parents=True, exist_ok=True)
        make_private_dir(places.run)
    except OSError as exc:
        yield f"resile.state_dir: {exc.filename} cannot be made: {exc.strerror}"
        return
    except OperationError as exc:
        yield f"resile.state_dir: {exc.message}"
        return
    for folder in (places.state, places.run, places.logs):
        if not os.access(folder, os.W_OK | os.X_OK):
            yield f"resile.state_dir: {folder} cannot be written by this user"


def _socket_problems(places: Places) -> Iterator[str]:
    """Remove what a dead daemon left. Its lock is free, so that nobody of ours listens."""
    try:
        connect_unix(places.socket, timeout_s=_CONNECT_TIMEOUT_S).close()
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        if places.socket.is_socket():
            places.socket.unlink(missing_ok=True)
        else:
            yield f"{places.socket} is in the way: it is no socket; remove it"
    except OSError as exc:
        yield f"{places.socket} is in the way: {exc.strerror}"
    else:
        yield f"something still listens at {places.socket}; wait until it has ended"


def _program_problems(config: Config, places: Places, environ: Mapping[str, str]) -> Iterator[str]:
    for name, service in config.service.items():
        key = f"service.{name}"
        if not service.cwd.is_dir():
            yield f"{key}.cwd: the folder {service.cwd} does not exist"
            continue
        path = service.env.get("PATH", environ.get("PATH", os.defpath))
        commands = {f"{key}.command": service.command}
        for group in ("ready", "live"):
            check = getattr(service, group)
            if check is not None and check.command:
                commands[f"{key}.{group}.command"] = check.command
        for place, words in commands.items():
            yield from _program_problem(place, words[0], cwd=service.cwd, path=path)
    for name, check in config.check.items():
        if check.command:
            path = environ.get("PATH", os.defpath)
            place = f"check.{name}.command"
            yield from _program_problem(
                place, check.command[0], cwd=places.config.parent, path=path
            )


def playbook_problems(
    config: Config, places: Places, *, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield each program that a playbook runs and that is not there: it would be missed in need."""
    path = environ.get("PATH", os.defpath)
    for name, service in config.service.items():
        if service.renew:
            place, program = f"service.{name}.renew", service.renew[0]
            yield from _program_problem(place, program, cwd=places.config.parent, path=path)
    for name, book in config.playbook.items():
        commands = {
            f"playbook.{name}.{key}[{index}].command": step.command
            for key, steps in (("steps", book.steps), ("undo", book.undo))
            for index, step in enumerate(steps)
        }
        commands[f"playbook.{name}.verify.command"] = book.verify.command
        for place, words in commands.items():
            if words:
                yield from _program_problem(place, words[0], cwd=places.config.parent, path=path)


def playbook_warnings(config: Config) -> Iterator[str]:
    """Yield what may be meant so, and mostly is not: playbooks that contradict each other."""
    from resile.recover.playbooks import contradictions, playbooks_of

    for found in contradictions(playbooks_of(config.playbook)):
        yield found.text


def _program_problem(place: str, program: str, *, cwd: Path, path: str) -> Iterator[str]:
    if "/" not in program:
        if shutil.which(program, path=path) is None:
            yield f'{place}: "{program}" is not found in PATH ({path})'
        return
    file = cwd / program
    if not file.is_file():
        yield f"{place}: {file} does not exist"
    elif not os.access(file, os.X_OK):
        yield f"{place}: {file} may not be executed (chmod +x)"


def _http_problems(config: Config) -> Iterator[str]:
    http = config.resile.http
    problem = port_problem(http.host, http.port)
    if problem:
        yield f"resile.http: {problem} (choose another with http = {{ port = ... }})"
