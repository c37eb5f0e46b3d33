"""Runs changes in a real overlay in a forked child, which has namespaces of its own."""

import codecs
import ctypes
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.transactions import hide_folders
from tests.support.trees import (
    KINDS,
    Snapshot,
    change_all,
    change_briefly,
    dump,
    load,
    snapshot,
)

from resile.contain.sandboxes.model import OverlayMount
from resile.contain.transaction import Staging, Transaction

OPTIONS = {
    Staging.OVERLAY: "redirect_dir=off,index=off,metacopy=off",
    Staging.OVERLAY_USER: "userxattr",
}
CHANGES: dict[str, Callable[[Path], None]] = {
    "all": change_all,
    "brief": change_briefly,
    "hidden": hide_folders,
    **KINDS,
}
NOBODY = 65534
_NEWNS, _NEWUSER = 0x20000, 0x10000000
_MS_REC_PRIVATE = 0x44000
_PR_SET_DUMPABLE = 4
_NO_OVERLAY = "no overlay can be mounted here"
_BLOCK = 1 << 16


def run_in_overlay(transaction: Transaction, kind: str) -> Snapshot:
    """Change what the transaction's overlay shows; give what it showed in the end."""
    (mount,) = transaction.mounts
    assert isinstance(mount, OverlayMount)
    merged = transaction.folder / "merged"
    merged.mkdir(exist_ok=True)

    def child() -> str:
        _mount(mount, merged, OPTIONS[transaction.record.staging])
        CHANGES[kind](merged)
        return dump(snapshot(merged))

    return load(in_child(child))


def in_child(work: Callable[[], str], *, uid: int | None = None) -> str:
    """Give what a forked child gives, as another user if one is named; fail as it failed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        _serve(work, uid, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read().decode()
    _, status = os.waitpid(pid, 0)
    if _NO_OVERLAY in answer:
        pytest.skip(answer.strip().splitlines()[-1])
    assert status == 0, answer
    return answer


def _serve(work: Callable[[], str], uid: int | None, writer: int) -> None:
    code = 1
    try:
        if uid is not None:
            _become(uid)
        answer = work()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent tells it
        answer = traceback.format_exc()
    try:
        data = answer.encode()
        while data:
            data = data[os.write(writer, data[:_BLOCK]) :]
    finally:
        os._exit(code)


def _become(uid: int) -> None:
    codecs.lookup("latin-1")  # What is loaded later may lie where this user cannot read.
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _mount(mount: OverlayMount, merged: Path, options: str) -> None:
    """Make namespaces, and mount the overlay in them."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEWNS | (_NEWUSER if mount.is_unprivileged else 0)
    done = libc.unshare(flags)
    if done == 0 and mount.is_unprivileged:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    if done == 0:
        done = libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None)
    data = f"lowerdir={mount.lower},upperdir={mount.upper},workdir={mount.work},{options}"
    target = str(merged).encode()
    if done == 0:
        done = libc.mount(b"overlay", target, b"overlay", ctypes.c_ulong(0), data.encode())
    if done != 0:
        raise RuntimeError(f"{_NO_OVERLAY}: {os.strerror(ctypes.get_errno())}")
