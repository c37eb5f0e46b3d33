"""Traces the system calls of a command by strace, and kills it at each of those that change files.

Needs strace (`apt-get install strace`) and the right to trace one's own children.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CHANGING_CALLS = (
    *("renameat2", "renameat", "rename", "linkat", "link", "unlinkat", "unlink"),
    *("mkdirat", "mkdir", "rmdir", "symlinkat", "symlink", "mknodat", "ftruncate"),
    *("copy_file_range", "fchmod", "fchmodat", "fchownat", "fchown", "lchown", "utimensat"),
    *("fsetxattr", "setxattr", "lsetxattr", "fsync", "fdatasync", "syncfs", "sync_file_range"),
    *("write", "writev", "pwrite64", "pwritev", "ioctl"),
)
KILL = "signal=KILL"
"""Ends the command at the entry of the call, which is then not done."""
_QUICK = "--seccomp-bpf"
"""Only the calls that are traced stop the command, which is three times as quick (measured). strace
6.1 sends no signals then."""
TIMEOUT_S = 120
STRING_BYTES_MAX = 64 << 20
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"(.*)\) += (-?\d+|\?)(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A system call that came to its end.

    Args:
        name: Such as `write`.
        thread: Which one called.
        arguments: As strace writes them, strings and the paths of descriptors as `\\xNN`.
        result: -1 if it failed.
        returned: What strace writes behind the result: the path of a new descriptor, or the error.
        begun_after: How many calls of the list had ended when this one began.
    """

    name: str
    thread: int
    arguments: str
    result: int
    returned: str
    begun_after: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """What came of one harm.

    Args:
        call: The system call that was hit.
        at: Which call of this name in its thread, 1-based.
        exit_code: Of the command; -9 if it was killed.
        is_right: What the check said.
    """

    call: str
    at: int
    exit_code: int
    is_right: bool

    @property
    def was_killed(self) -> bool:
        """Tell whether the harm ended the command: the call may not have come this time."""
        return self.exit_code == -signal.SIGKILL


def has_strace() -> bool:
    return shutil.which("strace") is not None


def kill_at_each_syscall(
    command: list[str],
    *,
    prepare: Callable[[], None],
    check: Callable[[int], bool],
    begin: str,
    end: str = "",
    calls: Iterable[str] = CHANGING_CALLS,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    harm: str | Callable[[Call], str] = KILL,
) -> Iterator[Round]:
    """Run a command once for each of its calls that change files, and harm it there.

    First it runs unharmed, and its calls are counted. strace counts the calls of each thread by
    itself: the n-th call of any thread that comes to it first is hit. So with several threads, some
    calls of the slower ones are hit in the place of others'; run it again for other orders.

    Args:
        command: The victim.
        prepare: Makes the world in which it runs; before each run.
        check: Gets the exit code (-9: killed), recovers, and tells whether all is right then.
        begin: Calls count from the first one on whose arguments have this text: a path that the
            command works on, or what it writes as a mark. So its start-up is left out.
        end: Calls count up to the one with this text; empty: all do.
        calls: Which calls to hit. Default: all that change files.
        folder: Where it runs.
        environ: Its variables. Default: ours.
        harm: What strace does: `signal=KILL`, `error=EIO`, `error=ENOSPC`, `retval=7` (claimed and
            not done). Default: kill. Or a function that says it of a call as it was in the
            unharmed run; calls of which it says nothing are left alone, but for those that
            another thread makes as its n-th.

    Raises:
        AssertionError: If the unharmed run failed, or made no call between the two texts.
    """
    prepare()
    code, traced = trace(command, calls=calls, folder=folder, environ=environ)
    if code:
        raise AssertionError(f"{command} ends with {code} although nothing harms it")
    places = _places(traced, begin, end)
    if not places:
        raise AssertionError(f"{command} makes no call from {begin!r} to {end!r}")
    for (name, at), alike in places.items():
        done = harm if isinstance(harm, str) else next(filter(None, map(harm, alike)), "")
        if not done:
            continue
        prepare()
        inject = ["-e", f"trace={name}", "-e", f"inject={name}:{done}:when={at}"]
        quick = [] if "signal" in done else [_QUICK]
        code = _strace([*quick, *inject, "-o", os.devnull, *command], folder, environ)
        yield Round(call=name, at=at, exit_code=code, is_right=check(code))


def trace(
    command: list[str],
    *,
    calls: Iterable[str],
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[int, list[Call]]:
    """Run a command; give its exit code and its calls of these names, in the order of their ends."""
    with tempfile.NamedTemporaryFile(prefix="resile-trace-", mode="r") as file:
        how = ["-y", "-xx", "-s", f"{STRING_BYTES_MAX}", "-o", file.name]
        names = ",".join(f"?{name}" for name in calls)
        code = _strace([_QUICK, *how, "-e", f"trace={names}", *command], folder, environ)
        return code, list(_parse(file))


def escaped(text: str | Path) -> str:
    """Write a text as the arguments of a call have it."""
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(text))


def _places(traced: list[Call], begin: str, end: str) -> dict[tuple[str, int], list[Call]]:
    """Give what can be hit: name of the call, which one of its thread, and those that it is."""
    counts: dict[tuple[int, str], int] = {}
    found: dict[tuple[str, int], list[Call]] = {}
    has_begun = False
    for call in traced:
        counts[call.thread, call.name] = at = counts.get((call.thread, call.name), 0) + 1
        if has_begun and end and escaped(end) in call.arguments:
            break
        if has_begun or escaped(begin) in call.arguments:
            has_begun = True
            found.setdefault((call.name, at), []).append(call)
    return dict(sorted(found.items()))


def _parse(lines: Iterable[str]) -> Iterator[Call]:
    begun: dict[int, tuple[str, int]] = {}
    count = 0
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue  # An exit, or a signal.
        thread, name, kind, text = int(found[1]), found[2], found[3], found[4]
        before = count
        if kind != "(":
            head, before = begun.pop(thread)
            text = head + text
        if text.endswith(_UNFINISHED):
            begun[thread] = text.removesuffix(_UNFINISHED), before
            continue
        ended = _RESULT.fullmatch(text)
        if ended is None or ended[2] == "?":
            continue  # The process ended within.
        yield Call(
            name=name,
            thread=thread,
            arguments=ended[1],
            result=int(ended[2]),
            returned=ended[3],
            begun_after=before,
        )
        count += 1


def _strace(arguments: list[str], folder: Path | None, environ: Mapping[str, str] | None) -> int:
    """Run strace; its exit code is the command's, and it dies of what the command dies of."""
    done = subprocess.run(
        ["strace", "-f", "-qq", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode
