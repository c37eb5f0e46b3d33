"""`resile.run` and `resile.arun`: contained runs for Python code, with one host for the process."""

import atexit
import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from resile.contain.host import Host, default_host
from resile.contain.model import STRICT, CommitMode, Limits, Outcome
from resile.contain.output import OnOutput
from resile.contain.runner import Run
from resile.contain.spec import RunSpec
from resile.contain.watch import StopRequest


class RunOptions(TypedDict, total=False):
    """The options of `run` and `arun`; `run` describes them."""

    limits: Limits
    workspace: str | Path | Iterable[str | Path]
    commit: CommitMode | str
    env: Mapping[str, str] | None
    cwd: str | Path | None
    stdin: bytes
    shown: Iterable[str | Path]
    readable: Iterable[str | Path]
    hidden: Iterable[str | Path]
    on_output: OnOutput | None


def run(
    argv: Sequence[str],
    *,
    limits: Limits = STRICT,
    workspace: str | Path | Iterable[str | Path] = (),
    commit: CommitMode | str = CommitMode.AUTO,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    stdin: bytes = b"",
    shown: Iterable[str | Path] = (),
    readable: Iterable[str | Path] = (),
    hidden: Iterable[str | Path] = (),
    on_output: OnOutput | None = None,
    stop: StopRequest | None = None,
    host: Host | None = None,
) -> Outcome:
    """Run a command that nobody trusts: under limits, in a sandbox, as a transaction over folders.

    Blocks until nothing of it lives, and until its changes are where they belong. Safe to call
    from several threads at once. What it changed is committed whole or not at all; both are
    durable when this returns.

    Args:
        argv: The command and its arguments; no shell reads them.
        limits: What all of its processes together may use. Default: `Limits()`, which is strict.
        workspace: A folder that it may change, or several. Default: none, it can change nothing.
        commit: `auto` (on exit code 0 without a violation), `ask` or `never`.
        env: Variables in addition to PATH, HOME, LANG and their like.
        cwd: Where it runs. Default: the first workspace, or its own /tmp.
        stdin: What it reads from standard input. Default: nothing.
        shown: What it sees, read-only, although it lies in /tmp, where it has its own.
        readable: Where it may read. Default: everywhere but where keys are kept.
        hidden: What it sees empty, in addition to those places.
        on_output: Called with `stdout` or `stderr` and what came, as it comes.
        stop: Ends it from another thread; the caller closes it. Default: nobody does.
        host: Where it runs. Default: one for this process.

    Returns:
        What came of it. A command that fails is an outcome, not an error.

    Raises:
        ConfigError: If the request is wrong.
        TransactionError: If a workspace is missing, or cannot be staged.
        ResileError: If this machine lacks what is needed, or the journal cannot be written.
    """
    spec = _spec(
        argv,
        limits=limits,
        workspace=workspace,
        commit=commit,
        env=env,
        cwd=cwd,
        stdin=stdin,
        shown=shown,
        readable=readable,
        hidden=hidden,
        on_output=on_output,
    )
    with contextlib.closing(StopRequest()) as own:
        return _execute(host or _shared_host(), spec, stop or own)


async def arun(
    argv: Sequence[str], *, host: Host | None = None, **options: Unpack[RunOptions]
) -> Outcome:
    """Run a command as `run` does, from an event loop, without holding the loop up.

    A task that is cancelled ends its run: it is killed and rolled back before the cancellation
    goes on. `on_output` is called from another thread.

    Args:
        argv: The command and its arguments.
        host: Where it runs. Default: one for this process.
        options: Those of `run`.

    Raises:
        ResileError: As `run`.
    """
    import asyncio  # who awaits has loaded it; nobody else should

    spec = _spec(argv, **options)
    stop = StopRequest()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()
    threading.Thread(
        target=_execute_for, args=(host or _shared_host(), spec, stop, loop, done), daemon=True
    ).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stop.ask("the task that awaited it was cancelled")
        while not done.done():  # A second cancellation does not shorten the rollback.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({done})
        raise
    finally:
        stop.close()


def _spec(argv: Sequence[str], **options: Unpack[RunOptions]) -> RunSpec:
    """Give what a run is about, its paths as they are in the caller's folder."""
    given = options.get("workspace", ())
    workspaces = (given,) if isinstance(given, str | Path) else given
    cwd = options.get("cwd")
    return RunSpec(
        argv=tuple(argv),
        limits=options.get("limits", STRICT),
        workspaces=tuple(Path(path).absolute() for path in workspaces),
        commit=CommitMode(options.get("commit", CommitMode.AUTO)),
        env=options.get("env") or {},
        cwd=None if cwd is None else Path(cwd).absolute(),
        stdin=options.get("stdin", b""),
        shown=tuple(Path(path).absolute() for path in options.get("shown", ())),
        readable=tuple(map(Path, options.get("readable", ()))),
        hidden=tuple(map(Path, options.get("hidden", ()))),
        on_output=options.get("on_output"),
    )


def _execute(host: Host, spec: RunSpec, stop: StopRequest) -> Outcome:
    outcome = Run(host, spec, stop=stop).execute()
    host.prepare_soon()
    return outcome


def _execute_for(host: Host, spec: RunSpec, stop: StopRequest, loop: Any, done: Any) -> None:
    """Run, and give the outcome to an event loop; one that is closed meanwhile gets nothing."""

    def settle(outcome: Outcome | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(outcome)
        else:
            done.set_exception(error)

    outcome, error = None, None
    try:
        outcome = _execute(host, spec, stop)
    except BaseException as exc:  # noqa: BLE001 - it is raised where the run is awaited
        error = exc
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, outcome, error)


_LOCK = threading.Lock()
_HOSTS: dict[int, Host] = {}
"""By process: a fork must not use its parent's parked launcher."""


def _shared_host() -> Host:
    with _LOCK:
        host = _HOSTS.get(os.getpid())
        if host is None:
            _HOSTS.clear()
            host = _HOSTS[os.getpid()] = default_host()
            atexit.register(_close, os.getpid())
        return host


def _close(pid: int) -> None:
    if pid == os.getpid() and pid in _HOSTS:
        _HOSTS.pop(pid).close()
