"""Boots Linux with pure cgroup v2 in an emulator, and gives what the checks in it printed.

The guest sees the host's / read-only, so the checks run with the project as it lies here and with
its own Python. It has no network but a loopback, and an empty disk of its own. It is emulated (TCG),
never run with /dev/kvm: where the machine is virtual itself, that device may be there and hang.
"""

# ruff: noqa: T201 - its lines are for whoever runs it

import contextlib
import gzip
import lzma
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm.packages import Parts, VmUnavailableError

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300.0
"""A whole run takes one to two minutes, on a busy machine four."""
_MEMORY = "1536M"
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"),
    *("netfs", "fscache", "9pnet", "9pnet_virtio", "9p", "overlay"),
    *("virtio_blk", "crc16", "crc32c_generic", "mbcache", "jbd2", "ext4"),
)
"""Each after what it needs; those that a kernel has built in are left out."""
_DISK = "512M"
_LINES_MAX = 10_000
_COMPLAINTS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run.

    Args:
        lines: `ok NAME ...` and `FAIL NAME why`, one for each check.
        console: Everything that the guest printed, for whoever looks for a fault.
        exit_code: Of the checks; None if the guest did not get to their end.
    """

    lines: tuple[str, ...]
    console: str
    exit_code: int | None

    @property
    def is_ok(self) -> bool:
        """Tell whether every check passed."""
        return self.exit_code == 0 and bool(self.lines) and not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """The checks that failed."""
        return tuple(line for line in self.lines if line.startswith("FAIL "))

    @property
    def complaints(self) -> str:
        """What the guest printed but for the lines of checks that passed: tracebacks, mostly."""
        lines = [line for line in self.console.splitlines() if not line.startswith("ok ")]
        return "\n".join(lines[-_COMPLAINTS_MAX:])


def run_checks(
    parts: Parts, *, wanted: str = "", is_shown: bool = False, timeout_s: float = TIMEOUT_S
) -> Result:
    """Boot, run the checks, power off. Blocks; nothing is left when it returns.

    Args:
        parts: What the machine is made of.
        wanted: What the names of the checks contain; empty: all are run.
        is_shown: Print each line as it comes.
        timeout_s: When the emulator is killed.

    Raises:
        VmUnavailableError: If a module is in a form that is not known.
    """
    console: list[str] = []
    with tempfile.TemporaryDirectory(prefix="resile-vm-") as folder:
        initramfs, disk = Path(folder) / "initramfs.gz", Path(folder) / "disk"
        make_disk = [parts.formatter, "-q", "-F", "-t", "ext4", disk, _DISK]
        subprocess.run(make_disk, check=True, stdout=subprocess.DEVNULL, env=parts.environment)
        initramfs.write_bytes(gzip.compress(archive(_files(parts, wanted)), compresslevel=1))
        for line in _lines_of(_command(parts, initramfs, disk), parts, timeout_s):
            console.append(line)
            if is_shown and _is_told(line):
                print(line, flush=True)
    ends = [line.split()[1] for line in console if line.startswith("VM-END ")]
    return Result(
        lines=tuple(line for line in console if line.startswith(("ok ", "FAIL "))),
        console="\n".join(console),
        exit_code=int(ends[-1]) if ends else None,
    )


def archive(files: dict[str, bytes | None]) -> bytes:
    """Pack files (None: a folder) as the kernel reads them at boot: cpio in its `newc` form.

    Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
    """
    packed = bytearray()
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], start=1):
        mode = 0o040755 if data is None else 0o100755
        path, content = name.encode() + b"\0", data or b""
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        packed += b"070701" + b"".join(b"%08x" % field for field in fields)
        for piece in (path, content):
            packed += piece
            packed += bytes(-len(packed) % 4)
    return bytes(packed)


def _files(parts: Parts, wanted: str) -> dict[str, bytes | None]:
    folders = ("bin", "dev", "modules", "new", "proc", "sys")
    settings = {"repository": str(REPOSITORY), "python": sys.executable, "wanted": wanted}
    return {
        **dict.fromkeys(folders),
        "bin/busybox": parts.busybox.read_bytes(),
        "init": Path(__file__).with_name("init.sh").read_bytes(),
        "settings": "".join(f"{k}={shlex.quote(v)}\n" for k, v in settings.items()).encode(),
        **{f"modules/{n:02}": data for n, data in enumerate(_modules(parts))},
    }


def _modules(parts: Parts) -> Iterator[bytes]:
    for name in _MODULES:
        for path in parts.modules.rglob(f"{name}.ko*"):
            if path.suffix not in (".ko", ".xz"):
                raise VmUnavailableError(f"{path} is packed in a way that is not known here")
            data = path.read_bytes()
            yield lzma.decompress(data) if path.suffix == ".xz" else data


def _command(parts: Parts, initramfs: Path, disk: Path) -> list[str]:
    root = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
    return [
        *(str(parts.emulator), "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"),
        *("-m", _MEMORY, "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(parts.kernel), "-initrd", str(initramfs), "-virtfs", root),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
        *("-append", "console=ttyS0 panic=-1 loglevel=1 mitigations=off"),
    ]


def _lines_of(command: list[str], parts: Parts, timeout_s: float) -> Iterator[str]:
    """Run the emulator, and give the lines of its console; it is dead when this ends."""
    process = subprocess.Popen(
        # Whatever becomes of us, the emulator does not run on for ever.
        ["timeout", "--kill-after=5", str(timeout_s), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=parts.environment,
    )
    timer = threading.Timer(timeout_s + 10, process.kill)
    timer.start()
    try:
        with contextlib.closing(process.stdout) as console:
            for _, line in zip(range(_LINES_MAX), console, strict=False):
                yield line.decode(errors="replace").strip()
    finally:
        timer.cancel()
        process.terminate()
        process.wait()


def _is_told(line: str) -> bool:
    return line.startswith(("ok ", "FAIL ", "VM-"))
