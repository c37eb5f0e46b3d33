"""Write the `resile.toml` that `resile init` starts a folder with."""

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resile.core.config.base import DAEMON_NAME, NAME_LENGTH_MAX

_READ_BYTES_MAX = 1 << 20
_SHELL_CHARACTERS = re.compile(r"[$|&;<>`*?(){}~]")
_PROCFILE_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    """A service that the folder seems to have.

    Args:
        name: Of the service.
        command: What runs it.
        reason: What was seen.
        url: What it serves; empty if that is not known.
    """

    name: str
    command: tuple[str, ...]
    reason: str
    url: str = ""


def config_template(folder: Path) -> str:
    """Give a commented configuration that fits the folder and loads without an error.

    Looks at Procfile, manage.py, pyproject.toml, app.py and main.py, in this order; the first
    that names a program wins. Nothing is run.
    """
    proposals = next((found for look in _LOOKS if (found := list(look(folder)))), [])
    services = [_service(proposal) for proposal in proposals] or [_EXAMPLE]
    return "\n".join([_HEAD, *services, _TAIL])


def _from_procfile(folder: Path) -> Iterator[_Proposal]:
    seen = set()
    for line in _text(folder / "Procfile").splitlines():
        match = _PROCFILE_LINE.fullmatch(line.strip())
        name = _service_name(match.group(1)) if match else ""
        if match and name not in seen and name != "release":
            seen.add(name)
            yield _Proposal(name=name, command=_words(match.group(2)), reason="named in Procfile")


def _from_django(folder: Path) -> Iterator[_Proposal]:
    if "django" in _text(folder / "manage.py"):
        address = f"127.0.0.1:{_PORT}"
        yield _Proposal(
            name="web",
            command=(_python(folder), "manage.py", "runserver", "--noreload", address),
            reason="manage.py is here; in production let gunicorn or uvicorn serve it",
            url=f"http://{address}/",
        )


def _from_pyproject(folder: Path) -> Iterator[_Proposal]:
    try:
        project = tomllib.loads(_text(folder / "pyproject.toml")).get("project", {})
        scripts = sorted(project.get("scripts", {}))
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        return
    if scripts:
        in_venv = folder / ".venv" / "bin" / scripts[0]
        command = f".venv/bin/{scripts[0]}" if in_venv.exists() else scripts[0]
        name = _service_name(scripts[0])
        yield _Proposal(name=name, command=(command,), reason="a script of pyproject.toml")


def _from_program(folder: Path) -> Iterator[_Proposal]:
    for module in ("app", "main"):
        path = folder / f"{module}.py"
        if path.is_file():
            yield _program(folder, module, _text(path))
            return


def _program(folder: Path, module: str, text: str) -> _Proposal:
    python, url = _python(folder), f"http://127.0.0.1:{_PORT}/"
    asgi = re.search(r"^(\w+)\s*(?::[^=]+)?=\s*(?:FastAPI|Starlette)\(", text, re.MULTILINE)
    if asgi:
        app = f"{module}:{asgi.group(1)}"
        command = (python, "-m", "uvicorn", app, "--port", str(_PORT))
        why = f"{module}.py makes an ASGI application"
        return _Proposal(name=module, command=command, reason=why, url=url)
    if re.search(r"=\s*Flask\(", text):
        flask = (python, "-m", "flask", "--app", module, "run", "--port", str(_PORT))
        why = f"{module}.py makes a Flask application"
        return _Proposal(name=module, command=flask, reason=why, url=url)
    return _Proposal(name=module, command=(python, f"{module}.py"), reason=f"{module}.py is here")


_LOOKS: tuple[Callable[[Path], Iterator[_Proposal]], ...] = (
    _from_procfile,
    _from_django,
    _from_pyproject,
    _from_program,
)


def _service_name(text: str) -> str:
    """Make a name that a service can have."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).lstrip("-")[:NAME_LENGTH_MAX]
    return f"{DAEMON_NAME}-service" if name == DAEMON_NAME else name or "app"


def _words(line: str) -> tuple[str, ...]:
    """Split a line; what needs a shell gets one, which `exec` then replaces by the program."""
    try:
        words = tuple(shlex.split(line))
    except ValueError:
        words = ()
    if not words or _SHELL_CHARACTERS.search(line):
        return ("sh", "-c", line if re.search(r"[|&;]", line) else f"exec {line}")
    return words


def _python(folder: Path) -> str:
    return ".venv/bin/python" if (folder / ".venv/bin/python").exists() else "python3"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_READ_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def _service(proposal: _Proposal) -> str:
    command = ", ".join(_quoted(word) for word in proposal.command)
    mark = "" if proposal.url else "# "
    url = _quoted(proposal.url or f"http://127.0.0.1:{_PORT}/health")
    return f"""\
# Proposed because: {proposal.reason}.
[service.{proposal.name}]
command = [{command}]
# Can it do its work? Those that depend on it wait for this.
{mark}ready = {{ http = {url}, interval = "1s", timeout = "500ms" }}
# Does the process itself work? Three bad looks in a row restart it. Never let it look at a database.
# live = {{ http = {url}, interval = "5s" }}
# depends_on = ["database"]
restart = {{ policy = "permanent", intensity = 5, period = "60s", backoff = "200ms..10s" }}
stop = {{ signal = "TERM", drain = "5s" }}
# limits = {{ memory = "512MiB", cpu = "100%", processes = 64 }}
"""


def _quoted(text: str) -> str:
    """Write a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"'
        + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or c == "\x7f" else c for c in escaped)
        + '"'
    )


_HEAD = """\
# What resile keeps running here. `resile config check` reads it, `resile up` starts it.
# Every key with its meaning: `resile config schema`.

[resile]
# name = "my-system"          # how pages and incidents call it; default: the folder's name
# state_dir = ".resile"       # journal, logs and sockets
# http = { port = 8470 }      # the dashboard, for this machine only
"""

_EXAMPLE = """\
# Nothing was found here that looks like a service. Take this one as a start:
#
# [service.web]
# command = ["python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"]
# ready = { http = "http://127.0.0.1:8000/", interval = "1s" }
# restart = { policy = "permanent", intensity = 5, period = "60s", backoff = "200ms..10s" }
# stop = { signal = "TERM", drain = "5s" }
# limits = { memory = "512MiB", cpu = "100%", processes = 64 }
"""

_TAIL = """\
# What belongs to no service. A service may wait for it: depends_on = ["disk"].
[check.disk]
disk = "."
free_min = "5%"
interval = "30s"

# Services that are restarted together, in this order.
# [group.pipeline]
# services = ["database", "web"]
# strategy = "rest_for_one"
"""
