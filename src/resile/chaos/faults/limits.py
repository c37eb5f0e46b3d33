"""Limits of a service's control group, lower than declared for a while: processor, memory, threads."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import running, service_of
from resile.errors import OperationError, RejectedError

_PERIOD_US = 100_000
_QUOTA_US_MIN = 1_000
"""The kernel refuses less."""
_GONE = (errno.ENOENT, errno.ENODEV)
"""ENODEV: the group was removed between opening the file and using it."""


class _Limit(LastingFault):
    """One of the kernel's files has another text for a while."""

    target: ClassVar[TargetKind] = TargetKind.SERVICE
    privilege: ClassVar[Privilege] = Privilege.ROOT
    controller: ClassVar[str]
    files: ClassVar[tuple[str, str]]
    """Of v1 and of v2."""

    def obstacle(self, host: Host) -> str:
        """Tell whether anything limits that here."""
        if why := super().obstacle(host):
            return why
        _folder(host, self.controller)
        return ""

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Keep the limit as it is."""
        service = service_of(wish.target, host)
        running(service)
        folder, is_unified = _folder(host, self.controller)
        file = f"{folder}/{service.name}-{service.generation}/{self.files[is_unified]}"
        try:
            before = _read(file)
        except OSError as exc:
            raise RejectedError(f"{file} cannot be read: {exc.strerror}") from exc
        return {"file": file, "before": before, "during": self.during(wish.arguments, file)}

    def during(self, arguments: Mapping[str, Any], file: str) -> str:
        """Write the limit that holds meanwhile."""
        raise NotImplementedError

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Lower it."""
        file, text = record.facts["file"], record.facts["during"]
        try:
            _write(file, text)
        except OSError as exc:
            raise OperationError(f"{file} does not take {text}: {exc.strerror}") from exc

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it is another than before."""
        text = ""
        with contextlib.suppress(OSError):
            text = _read(record.facts["file"])
        return Proof(holds=text not in ("", record.facts["before"]), detail=text or "it is gone")

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Put it back; a group that is gone needs nothing."""
        with _unless_gone():
            if _read(record.facts["file"]) != record.facts["before"]:
                _write(record.facts["file"], record.facts["before"])

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it is as before."""
        text = record.facts["before"]
        with _unless_gone():
            text = _read(record.facts["file"])
        return Proof(holds=text == record.facts["before"], detail=text)


class Quota(_Limit):
    """The service gets less of a processor."""

    name = "cpu.quota"
    text = "give the service less of a processor"
    controller = "cpu"
    files = ("cpu.cfs_quota_us", "cpu.max")
    parameters = (
        Parameter(
            name="share", kind=Kind.SHARE, text="of one core", default=0.1, low=0.01, high=64
        ),
    )

    def during(self, arguments: Mapping[str, Any], file: str) -> str:
        """Write the quota."""
        quota = max(_QUOTA_US_MIN, round(arguments["share"] * _PERIOD_US))
        return f"{quota} {_PERIOD_US}" if file.endswith("cpu.max") else str(quota)


class Memory(_Limit):
    """The service may have less memory, and is killed above that."""

    name = "memory.limit"
    text = "let the service have less memory; above that the kernel kills"
    controller = "memory"
    files = ("memory.limit_in_bytes", "memory.max")
    parameters = (Parameter(name="size", kind=Kind.SIZE, text="how much it may have", low=1 << 20),)

    def during(self, arguments: Mapping[str, Any], file: str) -> str:  # noqa: ARG002 - the port's
        """Write the limit, in whole pages as the kernel counts."""
        page = os.sysconf("SC_PAGE_SIZE")
        return str(arguments["size"] // page * page)


class Threads(_Limit):
    """The service can start no further thread or process."""

    name = "threads.exhaust"
    text = "let the service start no further thread or process (EAGAIN)"
    controller = "pids"
    files = ("pids.max", "pids.max")
    parameters = (
        Parameter(
            name="left", kind=Kind.COUNT, text="how many it may still start", default=0, high=1e6
        ),
    )

    def during(self, arguments: Mapping[str, Any], file: str) -> str:
        """Write what it has now, and what is left."""
        now = int(_read(file.removesuffix("max") + "current"))
        return str(now + arguments["left"])


def _folder(host: Host, controller: str) -> tuple[str, bool]:
    """Give the folder of the system's groups for a controller, and whether it is of v2.

    Raises:
        RejectedError: If there is none.
    """
    layout = host.layout
    if layout is not None and controller in layout.controllers:
        return layout.controllers[controller], False
    if layout is not None and layout.unified and controller in layout.enforced:
        return layout.unified, True
    raise RejectedError(
        f"no control group limits {controller} here", hint="see why with `resile doctor`"
    )


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in _GONE:
            raise OperationError(f"{exc.filename or 'a limit'}: {exc.strerror}") from exc


def _read(file: str) -> str:
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)


def _write(file: str, text: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
