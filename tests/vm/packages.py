"""Fetches what the virtual machine is made of from Debian, into a cache; installs nothing.

The packages are unpacked, not installed: no root is needed, and the machine stays as it is.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "resile-vm"
_EMULATOR = "qemu-system-x86"
_KERNEL = "linux-image-amd64"
"""Names the newest kernel; the cloud kernel would not do, as it has no 9p."""
_SHELL = "busybox-static"
_FORMATTER = "e2fsprogs"
_HINT = "it needs a Debian or Ubuntu on amd64 and fresh package lists: run `apt-get update`"
_DOWNLOAD_TIMEOUT_S = 600.0


class VmUnavailableError(Exception):
    """The virtual machine cannot be had here; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a virtual machine is made of.

    Args:
        root: Where the packages were unpacked.
        kernel: The kernel's image.
        modules: The folder of its modules.
        busybox: A static busybox.
        emulator: qemu.
        formatter: mke2fs.
    """

    root: Path
    kernel: Path
    modules: Path
    busybox: Path
    emulator: Path
    formatter: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the emulator needs to find its libraries."""
        folders = (f"{self.root}/{top}/x86_64-linux-gnu" for top in ("usr/lib", "lib"))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


def fetch(cache: Path = CACHE) -> Parts:
    """Give the parts, downloading about 90 MB the first time. Blocks.

    Raises:
        VmUnavailableError: If they cannot be had.
    """
    root = cache / "root"
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"unfinished-{os.getpid()}"
        try:
            _unpack(_wanted(), unfinished)
            (unfinished / "root").rename(root)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return _parts(root)


def _wanted() -> list[str]:
    """List the packages: kernel, busybox, and the rest with what it needs and is not installed."""
    simulate = ("apt-get", "--simulate", "--no-install-recommends", "install")
    plan = _apt(*simulate, _EMULATOR, _FORMATTER)
    lines = [line.split() for line in plan.splitlines() if line.startswith("Inst ")]
    new = [words[1] for words in lines if not words[2].startswith("[")]
    depends = _apt("apt-cache", "depends", _KERNEL).split()
    kernels = [word for word in depends if word.startswith("linux-image-")]
    if not kernels or kernels[-1] == _KERNEL:
        raise VmUnavailableError(f"{_KERNEL} names no kernel; {_HINT}")
    return sorted({_EMULATOR, *new, kernels[-1], _SHELL})


def _unpack(packages: list[str], folder: Path) -> None:
    folder.mkdir()
    _apt("apt-get", "download", *packages, cwd=folder)
    (folder / "root").mkdir()
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)


def _apt(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as exc:
        raise VmUnavailableError(f"{command[0]} is missing; {_HINT}") from exc
    except subprocess.SubprocessError as exc:
        said = getattr(exc, "stderr", "") or ""
        raise VmUnavailableError(f"{' '.join(command[:3])} failed; {_HINT}\n{said}") from exc
    return done.stdout


def _parts(root: Path) -> Parts:
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    busyboxes = [path for top in ("bin", "usr/bin") if (path := root / top / "busybox").is_file()]
    emulator = root / "usr/bin/qemu-system-x86_64"
    if not kernels or not busyboxes or not emulator.is_file():
        raise VmUnavailableError(f"{root} is not whole; remove it and try again")
    version = kernels[-1].name.removeprefix("vmlinuz-")
    tops = (root / top / "modules" / version for top in ("lib", "usr/lib"))
    modules = next((folder for folder in tops if folder.is_dir()), None)
    if modules is None:
        raise VmUnavailableError(f"{root} has no modules of {version}; remove it and try again")
    places = (str(root / "sbin"), str(root / "usr/sbin"), "/sbin", "/usr/sbin")
    formatter = shutil.which("mke2fs", path=os.pathsep.join(places))
    if formatter is None:
        raise VmUnavailableError(f"mke2fs is not there: install e2fsprogs, or remove {root}")
    return Parts(
        root=root,
        kernel=kernels[-1],
        modules=modules,
        busybox=busyboxes[0],
        emulator=emulator,
        formatter=Path(formatter),
    )
