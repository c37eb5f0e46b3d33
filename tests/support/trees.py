"""Trees of files for the tests of transactions: make, change in every way, compare, cut."""

import errno
import json
import mmap
import os
import socket
import stat
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Snapshot = dict[str, tuple[Any, ...]]
_FACTS = 6
_CLOSED = ("its folder may not be entered",) * _FACTS


class Crashed(BaseException):
    """The process ended here."""


class CrashingGate:
    """Ends the process's life before the n-th effect (1-based); 0: never. Counts the effects."""

    def __init__(self, at: int = 0) -> None:
        self.count = 0
        self.effects: list[str] = []
        self._at = at

    def before(self, effect: str, name: str) -> None:
        self.count += 1
        self.effects.append(effect)
        if self.count == self._at:
            raise Crashed(effect)


class FailingGate:
    """Lets the n-th effect (1-based) fail, or all from it on, but for those that free space."""

    def __init__(self, at: int, *, number: int = errno.ENOSPC, is_lasting: bool = False) -> None:
        self.count = 0
        self._at = at
        self._number = number
        self._is_lasting = is_lasting

    def before(self, effect: str, name: str) -> None:
        self.count += 1
        if self.count == self._at or (self._is_lasting and self.count > self._at):
            raise OSError(self._number, os.strerror(self._number))


def snapshot(root: Path) -> Snapshot:
    """Take all of a tree that counts; of folders no times, because these change by themselves."""
    found: Snapshot = {".": _facts(root)}
    names: dict[int, list[str]] = defaultdict(list)
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = Path(folder) / name
            key = str(path.relative_to(root))
            found[key] = _facts(path)
            if found[key] == _CLOSED:
                continue
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                names[status.st_ino].append(key)
    for group in names.values():
        for key in group:
            found[key] = (*found[key], tuple(sorted(group)))
    return found


def differences(first: Snapshot, second: Snapshot) -> list[str]:
    return [
        f"{key}: {first.get(key)} != {second.get(key)}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def without_names(found: Snapshot) -> Snapshot:
    """Leave out which names belong to one file."""
    return {key: facts[:_FACTS] for key, facts in found.items()}


def names_of_one_file(found: Snapshot) -> set[tuple[str, ...]]:
    """Give which names belong to one file."""
    return {facts[_FACTS] for facts in found.values() if len(facts) > _FACTS}


def dump(found: Snapshot) -> str:
    return json.dumps(found)


def load(text: str) -> Snapshot:
    """Read a dumped snapshot; lists become tuples again."""
    return {key: _tupled(value) for key, value in json.loads(text).items()}


def make_tree(root: Path) -> None:
    """Make a workspace in which `changes_of` finds what it changes."""
    names = [
        "mod",
        "del",
        "mmap",
        "trunc",
        "chmod",
        "ren",
        "xattr",
        "same",
        "replaced",
        "saved",
        "kind",
        "setuid",
        "old-time",
    ]
    for name in names:
        (root / name).write_text(f"{name}-" * 500)
        os.utime(root / name, ns=(10**18, 10**18 + 123))
    (root / "hard1").write_text("hard")
    os.link(root / "hard1", root / "hard2")
    (root / "pair1").write_text("pair")
    os.link(root / "pair1", root / "pair2")
    for path in ("deep/a/b", "deep/c", "opaque/old1", "opaque/both", "move/x/y", "gone/z/w", "k/f"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    for folder in ("deep", "spare"):
        (root / folder / "a").mkdir(parents=True, exist_ok=True)
        (root / folder / "a/b").write_text("deep/a/b")
    (root / "spare-file").write_text("mod-" * 500)
    os.utime(root / "spare-file", ns=(10**18, 10**18 + 123))
    (root / "link").symlink_to("mod")
    (root / "link-to-folder").symlink_to("deep")
    (root / "attributes").mkdir(mode=0o755)
    (root / "attributes/kept").write_text("kept")
    (root / "line\nbreak").write_text("odd")
    (root / os.fsdecode(b"not-\xff-utf8")).write_text("odd")


def _write(root: Path) -> None:
    (root / "mod").write_text("new")
    (root / "deep/a/b").write_text("new deep")
    with (root / "mmap").open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[0:4] = b"MMAP"
    os.truncate(root / "trunc", 10)
    (root / "line\nbreak").write_text("odder")
    (root / os.fsdecode(b"not-\xff-utf8")).write_text("odder")
    (root / "same").write_text("same-" * 500)
    (root / ".saved.tmp").write_text("saved anew")
    (root / ".saved.tmp").rename(root / "saved")


def _create(root: Path) -> None:
    (root / "created").write_text("created")
    (root / "created").chmod(0o640)
    (root / "new/e/f").mkdir(parents=True)
    (root / "new/e/g").write_text("g")
    (root / "new/e").chmod(0o2755)
    os.utime(root / "new/e/g", ns=(10**18, 10**18 + 5))
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as file:
        file.truncate(100 << 20)
        os.pwrite(file.fileno(), b"z", 50_000_000)
    (root / "empty").touch()
    (root / "deep/a/new").write_text("beside")
    os.setxattr(root / "new/e/g", "user.k", b"\0v")


def _delete(root: Path) -> None:
    (root / "del").unlink()
    (root / "gone/z/w").unlink()
    (root / "gone/z").rmdir()
    (root / "gone").rmdir()


def _replace(root: Path) -> None:
    (root / "opaque/old1").unlink()
    (root / "opaque/both").unlink()
    (root / "opaque").rmdir()
    (root / "opaque").mkdir()
    (root / "opaque/both").write_text("new both")
    (root / "opaque/new").write_text("new")
    (root / "replaced").unlink()
    (root / "replaced").mkdir()
    (root / "replaced/in").write_text("in")
    (root / "kind").unlink()
    (root / "kind").symlink_to("nowhere")
    (root / "k/f").unlink()
    (root / "k").rmdir()
    (root / "k").write_text("a file now")
    (root / "link").unlink()
    (root / "link").symlink_to("chmod")
    (root / "link-to-folder").unlink()
    (root / "link-to-folder").mkdir()
    (root / "link-to-folder/inside").write_text("no link any more")


def _move(root: Path) -> None:
    (root / "ren").rename(root / "ren2")
    (root / "moved/x").mkdir(parents=True)
    (root / "move/x/y").rename(root / "moved/x/y")
    (root / "move/x").rmdir()
    (root / "move").rmdir()


def _link(root: Path) -> None:
    (root / "links").mkdir()
    (root / "links/one").write_text("one")
    os.link(root / "links/one", root / "links/two")
    os.link(root / "links/one", root / "three")
    (root / "soft").symlink_to("nowhere")
    os.link(root / "deep/c", root / "deep/c2")
    os.link(root / "deep/c", root / "links/c3")
    (root / "pair1").unlink()


def _attributes(root: Path) -> None:
    (root / "chmod").chmod(0o600)
    os.setxattr(root / "xattr", "user.k", b"v")
    (root / "attributes").chmod(0o700)
    os.setxattr(root / "attributes", "user.folder", b"v")
    (root / "setuid").chmod(0o4755)
    os.utime(root / "old-time", ns=(10**18, 2 * 10**18))
    (root / "closed").mkdir()
    (root / "closed/in").write_text("in")
    (root / "closed/in").chmod(0o400)
    (root / "closed").chmod(0o555)


def _odd(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        here = Path.cwd()
        os.chdir(root)
        sock.bind("socket")
        os.chdir(here)
    fd = os.open(root / "unlinked", os.O_CREAT | os.O_RDWR)
    (root / "unlinked").unlink()
    os.write(fd, b"gone")
    os.close(fd)


def _owner(root: Path) -> None:
    if os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split()[2] != "1":
        os.chown(root / "chmod", 12, 34)
        os.chown(root / "deep", 12, 34)
        (root / "owned").write_text("owned")
        os.chown(root / "owned", 0, 34)


def _hard(root: Path) -> None:
    with (root / "hard1").open("a") as file:
        file.write("er")


KINDS: dict[str, Callable[[Path], None]] = {
    "write": _write,
    "create": _create,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
    "link": _link,
    "attributes": _attributes,
    "odd": _odd,
    "owner": _owner,
    "hard": _hard,
}


def change_all(root: Path) -> None:
    """Change a tree of `make_tree` in about fifty ways."""
    for change in KINDS.values():
        change(root)


def change_briefly(root: Path) -> None:
    """Change it once in each way that a commit tells apart: for the tests of every step."""
    (root / "mod").write_text("new")
    (root / "created").write_text("created")
    (root / "new").mkdir()
    (root / "new/f").write_text("f")
    os.link(root / "new/f", root / "second-name")
    os.link(root / "deep/c", root / "deep/c2")
    (root / "del").unlink()
    (root / "gone/z/w").unlink()
    (root / "gone/z").rmdir()
    (root / "gone").rmdir()
    (root / "replaced").unlink()
    (root / "replaced").mkdir()
    (root / "replaced/in").write_text("in")
    (root / "link").unlink()
    (root / "link").symlink_to("chmod")
    os.mkfifo(root / "fifo")
    (root / "attributes").chmod(0o700)
    (root / "chmod").chmod(0o600)
    (root / "deep").chmod(0o555)
    (root / "pair1").unlink()
    (root / "pair2").write_text("both names change")


def _facts(path: Path) -> tuple[Any, ...]:
    try:
        status = path.lstat()
    except PermissionError:
        return _CLOSED
    mode = status.st_mode
    content = ""
    if stat.S_ISLNK(mode):
        content = str(path.readlink())
    elif stat.S_ISREG(mode):
        content = _content(path, status)
    mtime_ns = status.st_mtime_ns if stat.S_ISREG(mode) else 0
    return (mode, status.st_uid, status.st_gid, content, mtime_ns, _xattrs(path))


def _content(path: Path, status: os.stat_result) -> str:
    if status.st_size >= 1 << 20:
        return "big"
    try:
        return path.read_bytes().decode("latin-1")
    except PermissionError:
        return f"{status.st_size} bytes that may not be read"


def _xattrs(path: Path) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, _xattr(path, name))
            for name in os.listxattr(path, follow_symlinks=False)
            if "overlay." not in name
        )
    )


def _xattr(path: Path, name: str) -> str:
    try:
        return os.getxattr(path, name, follow_symlinks=False).hex()
    except PermissionError:
        return "may not be read"


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
