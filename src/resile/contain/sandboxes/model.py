"""What a sandbox is made of, as data: the box that a launcher builds around a command.

A box is a recipe. Every launcher (C, bubblewrap, pure Python) carries out the same one, and
tests/contracts/test_launchers.py holds them all to it.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resile.contain.model import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayMount:
    """Show `lower` at `target`, and write what is changed there to `upper`.

    Args:
        lower: The workspace.
        upper: An empty folder that gets the changes.
        work: An empty folder on the file system of `upper`.
        target: Where the command sees it: mostly the same path as `lower`.
        is_unprivileged: Mount it with `userxattr`, as a user namespace and bubblewrap need it.
    """

    lower: Path
    upper: Path
    work: Path
    target: Path
    is_unprivileged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """Show `source` at `target`."""

    source: Path
    target: Path
    is_writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A command and everything around it.

    Args:
        argv: The command; argv[0] is looked up in the PATH of `env`.
        env: Its whole environment.
        cwd: Where it runs, as it sees it.
        mounts: Its workspaces and what else it may see or write, in this order.
        hidden: Folders and files that it sees empty: keys, state, sockets.
        readable: Where it may read; empty means everywhere that is not hidden (landlock).
        network: What it may reach.
        tmp_bytes, tmp_files: The size of its private /tmp; 0 means no limit.
        files_max: Open files of each process; 0 means the machine's own limit.
        file_bytes_max: The size of one file; 0 means no limit.
        is_observed: Forbidden system calls are told to the supervisor, not only refused.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    mounts: tuple[OverlayMount | BindMount, ...] = ()
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    network: Network = Network.NONE
    tmp_bytes: int = 0
    tmp_files: int = 0
    files_max: int = 0
    file_bytes_max: int = 0
    is_observed: bool = True

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise AssertionError("a box without a command")
        targets = (mount.target for mount in self.mounts)
        paths = (Path(self.cwd), *targets, *self.hidden, *self.readable)
        if relative := [str(path) for path in paths if not path.is_absolute()]:
            raise AssertionError(f"a box needs absolute paths, not {relative}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """The descriptors that become 0, 1 and 2 of the command; the caller keeps and closes them."""

    stdin_fd: int
    stdout_fd: int
    stderr_fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The command was executed.

    Args:
        pid: Of its main process, as the host knows it; 0 if the launcher cannot tell.
    """

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailed:
    """The box could not be built, or the command not executed; nothing of it runs.

    Args:
        stage: Which step: `namespaces`, `overlay`, `exec` and so on.
        number: The errno; 0 if there is none.
        path: What it was about; may be empty.
    """

    stage: str
    number: int
    path: str = ""

    @property
    def exit_code(self) -> int:
        """What a shell would exit with: 127 for no such command, 126, or 125 for the box itself."""
        if self.stage != "exec":
            return 125
        return 127 if self.number == errno.ENOENT else 126


@dataclass(frozen=True, slots=True, kw_only=True)
class MainEnded:
    """The main process ended; what it left behind may still run.

    Args:
        exit_code: None if a signal ended it.
        signal_number: 0 if none did.
        core_dumped: The kernel wrote a core file.
        has_survivors: Other processes of the box ran at that moment.
    """

    exit_code: int | None
    signal_number: int = 0
    core_dumped: bool = False
    has_survivors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A step of the box does less than it should; it goes on.

    Args:
        stage: Which step: `proc` has no processes in it, as the kernel gives no new one.
        number: The errno.
        path: What it was about.
    """

    stage: str
    number: int
    path: str = ""


Message = Started | LaunchFailed | MainEnded | Warned


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFacts:
    """What this machine allows a sandbox to be, found by trying.

    Args:
        launcher: `native`, `python` or `bubblewrap`: the best that works; empty if none does.
        has_user_namespace: An ordinary user can make a box.
        has_overlay: Changes can be staged by an overlay.
        landlock_abi: 0 if it is off.
        has_seccomp_notify: Forbidden calls can be observed.
        uses_user_attributes: Its overlays must be mounted with `userxattr`: see `OverlayMount`.
        missing: What does not work and what follows, one sentence each.
    """

    launcher: str
    has_user_namespace: bool = False
    has_overlay: bool = False
    landlock_abi: int = 0
    has_seccomp_notify: bool = False
    uses_user_attributes: bool = False
    missing: tuple[str, ...] = field(default=())
