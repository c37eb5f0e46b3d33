"""Turn a box into steps that every launcher carries out in the same order. Pure.

| step | what it does |
|---|---|
| `user PATH TEXT` | write a file that says who is who in a new user namespace |
| `private` | no mount of the box is seen outside |
| `overlay LOWER UPPER WORK OPTION...` | make an overlay and keep it in the next slot |
| `tree PATH ATTRIBUTES` | keep a copy of the mounts at PATH in the next slot |
| `lock` | make every mount there is read-only, and setuid bits void |
| `tmpfs PATH OPTIONS` | mount an empty file system |
| `folder PATH`, `link TARGET PATH` | make a folder, a symbolic link |
| `place SLOT PATH` | mount what is in a slot; makes PATH if it is not there |
| `hide PATH` | cover a folder by an empty one, a file by /dev/null |
| `proc`, `loopback` | mount a new /proc; bring the loopback up |
| `seal PATH` | make one mount read-only |
| `command` | fork; the steps below are the child's |
| `limit RESOURCE VALUE` | set a resource limit |
| `capabilities`, `privileges` | drop every capability; never gain any again |
| `cwd PATH` | change to a folder |
| `landlock FILES NETWORK SCOPES SIZE`, `allow RIGHTS PATH`, `restrict` | landlock |
| `seccomp FLAGS HEX` | set the filter |
| `environment NAME=VALUE...` | what it will be given |
| `programs PATH...`, `execute ARGUMENT...` | become the first of these that is there |

A step whose name begins with `?` may fail: what it is about need not be there.
"""

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import fsencode
from pathlib import Path
from typing import Final

from resile.contain.model import Network
from resile.contain.sandboxes.landlock import READ, rights_of
from resile.contain.sandboxes.model import Box, OverlayMount
from resile.contain.sandboxes.seccomp import filter_for
from resile.errors import ConfigError

NEW_USER: Final = 0x10000000
_NEW_BOX: Final = 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000
"""Mounts, processes, System V objects and message queues, host name."""
NEW_NETWORK: Final = 0x40000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES = 1, 2, 4
LISTENER, _KILLABLE = 8, 32
"""Give a descriptor to observe; do not wake the caller for lesser signals (since Linux 5.19)."""
OVERLAY_OPTIONS: Final = ("redirect_dir=off", "index=off", "metacopy=off")
"""What the transaction can read; without them a rename would be a reference to the lower folder."""
UNSYNCED: Final = "volatile"
"""No sync of an overlay reaches the disk: else its end would sync the whole file system below, for
changes that a power cut may take. Their commit syncs them, and so does a seal that is to last."""
DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
"""No others: uid 0 could open the disk itself."""
_FD_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - this one and the next become private
_TEMPORARY: Final = ("/tmp", "/var/tmp", _SHARED_MEMORY)  # noqa: S108
COVERED: Final = tuple(map(Path, (*_TEMPORARY, "/run")))
"""Where a box has folders of its own: what lies there on the host is only seen if it is mounted."""
SYSTEM_FOLDERS: Final = (
    *("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/etc"),
    *("/dev", "/proc", "/nix/store"),
)
"""What a program needs to start; readable even where `Box.readable` lists folders."""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for if the command's environment does not say it."""
RESOLVER: Final = Path("/etc/resolv.conf")

Step = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the recipe must know of who builds the box, and where.

    Args:
        uid, gid: Who the command is, in the box and outside.
        is_privileged: It can be built without a user namespace.
        landlock_abi: 0 if it is off.
        resolver: The true path of /etc/resolv.conf; None if it is not below /run.
    """

    uid: int
    gid: int
    is_privileged: bool
    landlock_abi: int
    resolver: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The steps of one box.

    Args:
        namespaces: The flags of `clone`.
        steps: In this order.
    """

    namespaces: int
    steps: tuple[Step, ...]

    def encode(self) -> bytes:
        """Give it as the launchers read it: text, each piece ended by a zero byte.

        Raises:
            ConfigError: If a piece has a zero byte in it: it would be taken for other steps.
        """
        pieces = [str(self.namespaces)]
        for name, *arguments in self.steps:
            pieces += [name, str(len(arguments)), *arguments, ""]
        text = "\0".join((*pieces, ""))
        if text.count("\0") != len(pieces):
            broken = next(piece for piece in pieces if "\0" in piece)
            raise ConfigError(
                f"{broken!r} has a zero byte in it",
                hint="no argument, variable or path of a program can have one",
            )
        return fsencode(text)


def recipe_of(box: Box, host: Host) -> Recipe:
    """Give the steps that build a box and execute its command."""
    namespaces = _NEW_BOX
    namespaces |= NEW_NETWORK if box.network is Network.NONE else 0
    namespaces |= 0 if host.is_privileged else NEW_USER
    steps = (*_user(host), *_mounts(box, host), ("command",), *_command(box, host))
    return Recipe(namespaces=namespaces, steps=steps)


def _user(host: Host) -> Iterator[Step]:
    """Let the command be in a new user namespace who it is outside."""
    if not host.is_privileged:
        yield ("user", "/proc/self/setgroups", "deny")
        yield ("user", "/proc/self/uid_map", f"{host.uid} {host.uid} 1")
        yield ("user", "/proc/self/gid_map", f"{host.gid} {host.gid} 1")


def _mounts(box: Box, host: Host) -> Iterator[Step]:
    """Give the steps that build what the command sees: first take, then cover, then place."""
    sources = tuple(_sources(box, host))
    yield ("private",)
    for step, _ in sources:
        yield step
    yield ("lock",)
    placed = [*_system(box), *(place for _, place in sources)]
    placed += [(str(path), ("?hide", str(path))) for path in box.hidden]
    for _, step in sorted(placed, key=lambda item: _depth(item[0])):
        yield step
    yield ("proc",)
    for path in ("/run", "/dev", *map(str, box.hidden)):
        yield ("?seal", path)
    if box.network is Network.NONE:
        yield ("loopback",)


def _sources(box: Box, host: Host) -> Iterator[tuple[Step, tuple[str, Step]]]:
    """Give each mount that is taken from the host, and where it is placed."""
    slot = 0
    for device in DEVICES:
        path = f"/dev/{device}"
        take = ("?tree", path, str(_NO_SETUID))
        yield take, (path, ("?place", str(slot), path))
        slot += 1
    if box.network is Network.HOST and host.resolver is not None:
        path = str(host.resolver)
        take = ("?tree", path, str(_READ_ONLY | _NO_SETUID | _NO_DEVICES))
        yield take, (path, ("?place", str(slot), path))
        slot += 1
    for mount in box.mounts:
        path = str(mount.target)
        if isinstance(mount, OverlayMount):
            options = ("userxattr",) if mount.is_unprivileged else OVERLAY_OPTIONS
            folders = (str(mount.lower), str(mount.upper), str(mount.work))
            take = ("overlay", *folders, *options, UNSYNCED)
        else:
            attributes = _NO_SETUID | _NO_DEVICES | (0 if mount.is_writable else _READ_ONLY)
            take = ("tree", str(mount.source), str(attributes))
        yield take, (path, ("place", str(slot), path))
        slot += 1


def _system(box: Box) -> Iterator[tuple[str, Step]]:
    """Give what every box covers, by path."""
    limits = f"mode=1777{_size(box.tmp_bytes, box.tmp_files)}"
    yield "/run", ("?tmpfs", "/run", "mode=755,size=1m")
    yield "/dev", ("tmpfs", "/dev", "mode=755,size=1m")
    yield _SHARED_MEMORY, ("folder", _SHARED_MEMORY)
    for path in _TEMPORARY:
        yield path, ("?tmpfs", path, limits)
    for name, target in _FD_LINKS.items():
        yield f"/dev/{name}", ("link", target, f"/dev/{name}")


def _size(size_bytes: int, files: int) -> str:
    """Give the limits of a file system in memory; its root folder is not counted."""
    size = f",size={size_bytes}" if size_bytes else ""
    return f"{size},nr_inodes={files + 1}" if files else size


def _depth(path: str) -> int:
    """Tell how deep a path lies: what is above must be placed before what is below."""
    return path.rstrip("/").count("/")


def _command(box: Box, host: Host) -> Iterator[Step]:
    """Give the steps that turn the child into the command: what is refused comes last."""
    yield ("capabilities",)
    yield ("cwd", box.cwd)
    yield ("privileges",)
    if host.landlock_abi:
        yield from _landlock(box, host.landlock_abi)
    code = filter_for(uid=host.uid, gid=host.gid, network=box.network, is_observed=box.is_observed)
    yield ("seccomp", str(LISTENER | _KILLABLE if box.is_observed else 0), code.hex())
    yield from _limits(box)  # Late: the steps above need descriptors of their own.
    yield ("environment", *(f"{name}={value}" for name, value in box.env.items()))
    yield ("programs", *_programs(box))
    yield ("execute", *box.argv)


def _programs(box: Box) -> Iterator[str]:
    """Give where to look for the command's program: as execvp(3), but never as a shell's script."""
    name = box.argv[0]
    folders = [""] if "/" in name else box.env.get("PATH", _PATH).split(":")
    for folder in folders:
        yield f"{folder}/{name}" if folder else name


def _limits(box: Box) -> Iterator[Step]:
    yield ("limit", str(resource.RLIMIT_CORE), "0")
    if box.files_max:
        yield ("limit", str(resource.RLIMIT_NOFILE), str(box.files_max))
    if box.file_bytes_max:
        yield ("limit", str(resource.RLIMIT_FSIZE), str(box.file_bytes_max))


def _landlock(box: Box, abi: int) -> Iterator[Step]:
    """Take writing away but for the workspaces and what is private, reading if there is a list."""
    rights = rights_of(abi)
    read = READ if box.readable else 0
    write = str(rights.write | read)
    yield ("landlock", write, "0", str(rights.scopes), str(rights.size))
    for mount in box.mounts:
        is_writable = isinstance(mount, OverlayMount) or mount.is_writable
        if is_writable:
            yield ("allow", write, str(mount.target))
        elif read:
            yield ("allow", str(read), str(mount.target))
    for path in _writable():
        yield ("?allow", write, path)
    if read:
        for path in (*SYSTEM_FOLDERS, *map(str, box.readable)):
            yield ("?allow", str(read), path)
    yield ("restrict",)


def _writable() -> Sequence[str]:
    return (*_TEMPORARY, *(f"/dev/{name}" for name in DEVICES))
