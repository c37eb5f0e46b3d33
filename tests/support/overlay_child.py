"""Mounts an overlay in a namespace of its own, changes what it shows, and prints what is there.

Usage: overlay_child.py LOWER UPPER WORK MERGED KIND OPTIONS
Runs inside of `unshare -m`; OPTIONS are those of the mount beside the folders. KIND names
the change (of tests.support.trees), or is `all`.
"""

import ctypes
import os
import sys
from pathlib import Path

from tests.support.overlays import NO_OVERLAY
from tests.support.trees import KINDS, change_all, change_briefly, dump, snapshot


def main() -> None:
    lower, upper, work, merged, kind, options = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    data = f"lowerdir={lower},upperdir={upper},workdir={work},{options}"
    if libc.mount(b"overlay", merged.encode(), b"overlay", ctypes.c_ulong(0), data.encode()):
        sys.exit(f"{NO_OVERLAY}: {os.strerror(ctypes.get_errno())}")
    change = {"all": change_all, "brief": change_briefly, **KINDS}[kind]
    change(Path(merged))
    sys.stdout.write(dump(snapshot(Path(merged))))


if __name__ == "__main__":
    main()
