"""What to run, and how: the whole request for a contained run, checked before anything begins."""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from resile.contain.model import STRICT, CommitMode, Limits
from resile.contain.output import OnOutput, always
from resile.contain.sandboxes import COVERED
from resile.core.vocabulary import ViolationKind
from resile.errors import ConfigError

KEPT_VARIABLES = (
    *("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"),
    *("VIRTUAL_ENV", "COLUMNS", "LINES", "NO_COLOR"),
)
"""What a command inherits of the environment; `LC_*` too. Everything else may be a secret."""

CONTAINED_VARIABLE = "RESILE_CONTAINED"
"""What is in the environment of a contained command."""

_HIDDEN_AT_HOME = (
    *(".aws", ".azure", ".config/gcloud", ".config/gh", ".docker", ".gnupg", ".kube", ".ssh"),
    *(".git-credentials", ".netrc", ".pgpass", ".pypirc", ".vault-token", ".npmrc"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".local/share/keyrings", ".terraform.d"),
    *(".password-store", ".mozilla", ".config/chromium", ".config/google-chrome"),
    *(".m2/settings.xml", ".bash_history", ".zsh_history", ".python_history", ".psql_history"),
)
"""Where people keep keys."""
_HIDDEN = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers"),
    *("/etc/ssl/private", "/var/lib/resile"),
)
PROTECTED = (
    *(".git/hooks/*", ".git/config", ".gitattributes", ".gitmodules", ".ssh/*"),
    *(".github/workflows/*", ".gitlab-ci.yml", ".bashrc", ".profile", ".zshrc", ".envrc"),
)
"""Files that others execute later: a change of one is a violation. Globs below a workspace."""
_KILLING = frozenset({ViolationKind.SYSCALL})
_STDIN_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """A request for a contained run.

    Args:
        argv: The command; argv[0] is looked up in the PATH that it gets.
        limits: What it may use. Default: the profile `strict`.
        profile: The name of the limits; for records.
        workspaces: Folders that it may change, under a transaction. The first is where it runs
            unless `cwd` says otherwise.
        commit: When its changes go into the workspaces.
        env: Variables that it gets in addition to `KEPT_VARIABLES`.
        cwd: Where it runs; None: the first workspace, or /tmp without one.
        stdin: What it reads from its standard input.
        stdin_fd: A descriptor for that instead; -1: `stdin` counts.
        shown: Files and folders that it sees, read-only, although they lie in a folder that it has
            of its own, such as /tmp.
        hidden: What it sees empty, in addition to well-known places of keys.
        readable: Where it may read; empty: everywhere that is not hidden.
        protected: Globs below a workspace; a change of what they match is a violation.
        kills: Violations that end a run at once.
        on_output: Gets its output as it comes; it must not block for long, as it holds the limits up.
        has_room: Tells whether `on_output` can take more now; while not, the command waits.

    Raises:
        ConfigError: If there is no command.
    """

    argv: tuple[str, ...]
    limits: Limits = STRICT
    profile: str = ""
    workspaces: tuple[Path, ...] = ()
    commit: CommitMode = CommitMode.AUTO
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stdin: bytes = b""
    stdin_fd: int = -1
    shown: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    protected: tuple[str, ...] = PROTECTED
    kills: frozenset[ViolationKind] = _KILLING
    on_output: OnOutput | None = None
    has_room: Callable[[], bool] = always

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise ConfigError("there is no command to run", hint="resile run -- PROGRAM ARGUMENT")
        if any("\0" in word for word in self.argv):
            raise ConfigError("the command has a NUL character in it")
        for path in self.shown:
            if not path.exists():
                raise ConfigError(
                    f"{path} is to be shown and is not there", hint="correct the path"
                )
        if len(self.stdin) > _STDIN_BYTES_MAX:
            raise ConfigError("the standard input is above 64 MiB", hint="let it read a file")


def environment(spec: RunSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the whole environment of the command."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in KEPT_VARIABLES or name.startswith("LC_")
    }
    return {"PATH": os.defpath, **kept, **spec.env, "TMPDIR": "/tmp", CONTAINED_VARIABLE: "1"}  # noqa: S108 - its own /tmp


def shown_paths(spec: RunSpec, env: Mapping[str, str]) -> tuple[Path, ...]:
    """List what must be shown although it lies in a folder that the command has of its own.

    That is what the caller says, and what the command is made of: its program with the installation
    around it (a virtual environment in /tmp), the folders of its PATH, and files that it is given
    by their whole path.
    """
    program = Path(spec.argv[0])
    covered = tuple(f"{path}/" for path in COVERED)
    entries = map(os.path.normpath, env.get("PATH", "").split(os.pathsep))
    binaries = [Path(entry) for entry in entries if entry.startswith(covered)]
    if len(program.parts) > 1:
        binaries += [program.absolute().parent, program.resolve().parent]
    named = [Path(word) for word in spec.argv[1:] if word.startswith("/")]
    wanted = [*spec.shown, *map(_installation, binaries), *(p for p in named if _is_file(p))]
    workspaces = tuple(f"{workspace}/" for workspace in spec.workspaces)
    return tuple(
        sorted(
            {
                path
                for path in wanted
                if str(path).startswith(covered)
                and not f"{path}/".startswith(workspaces)
                and _exists(path)
            }
        )
    )


def _installation(binaries: Path) -> Path:
    """Give the folder around `bin`, unless that is one of those that are covered."""
    around = binaries.parent
    return around if binaries.name == "bin" and around not in COVERED else binaries


def _exists(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - False behind a folder that is not ours to enter


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A word that is no path, such as one of 5000 characters.
        return False


def hidden_paths(spec: RunSpec, *, more: tuple[Path, ...]) -> tuple[Path, ...]:
    """List what exists and is to be hidden; what is inside of another one is left out."""
    wanted = [*_HIDDEN, *map(str, (*more, *spec.hidden)), *_kept_at_home()]
    found = sorted({os.path.realpath(path) for path in wanted if _exists(path)})
    outer: list[str] = []
    for path in found:  # In their order a folder comes right before what is in it.
        if not outer or not f"{path}/".startswith(f"{outer[-1]}/"):
            outer.append(path)
    return tuple(map(Path, outer))


def resolve_memory(limits: Limits) -> Limits:
    """Turn a share of the memory into bytes, of what is available now."""
    if isinstance(limits.memory, int):
        return limits
    return replace(limits, memory=int(limits.memory * available_bytes()))


def available_bytes() -> int:
    """Tell how much memory can be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("/proc/meminfo has MemAvailable since Linux 3.14")


def impossible(limits: Limits) -> Iterator[str]:
    """List what this machine can never give."""
    cores = len(os.sched_getaffinity(0))
    if limits.cpu_share > cores:
        yield f"--cpu {limits.cpu_share * 100:g}%: this machine has {cores} cores"


def _kept_at_home() -> Iterator[str]:
    """Give the places of keys that may be in the user's own folder, after one look at it."""
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
        names = set(os.listdir(home)) if home else set()  # noqa: PTH208 - its names are enough
    except (KeyError, OSError):  # Nobody knows the user, or there is no such folder.
        return
    for name in _HIDDEN_AT_HOME:
        if name.partition("/")[0] in names:
            yield f"{home}/{name}"
