"""Build the native launcher of boxes (src/resile/contain/sandboxes/launcher.c) into the package.

It is optional: without a compiler the package is pure Python, and slower launchers take its place.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "src/resile/contain/sandboxes"
FLAGS = ("-O2", "-s", "-Wall", "-Wextra", "-Werror")
WAYS = (("-static",), ())
"""A static program starts in half the time, but needs a static libc."""
_STATIC_MARK = " static"


class LauncherHook(BuildHookInterface[Any]):
    """Compile the launcher if it is not there or is of another source."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the binary, and with it the platform's tag, to what is built."""
        folder = Path(self.root, FOLDER)
        source, binary = folder / "launcher.c", folder / "_launcher"
        is_static = build(source, binary)
        if not binary.exists() or version == "editable":
            return
        base = "manylinux_2_17" if is_static else "linux"
        build_data["artifacts"].append(f"{FOLDER}/_launcher")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{base}_{platform.machine()}"


def build(source: Path, binary: Path) -> bool:
    """Compile to a temporary name and put it in place; tell whether the result is static."""
    mark = "resile-launcher " + hashlib.sha256(source.read_bytes()).hexdigest()
    if not (binary.exists() and mark.encode() in binary.read_bytes()):
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or ""
        compiled = binary.with_name(f"_launcher.{os.getpid()}")
        for way in WAYS if compiler else ():
            defined = f'-DSOURCE_MARK="{mark}{_STATIC_MARK if way else ""}"'
            command = [*compiler.split(), *FLAGS, *way, defined, "-o", str(compiled), str(source)]
            if has_run(command):
                compiled.replace(binary)
                break
        else:
            binary.unlink(missing_ok=True)
    return binary.exists() and f"{mark}{_STATIC_MARK}".encode() in binary.read_bytes()


def has_run(command: list[str]) -> bool:
    """Run a compiler; tell whether it was there and had nothing to complain of."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
