"""Look at whatever a check names: one way for each kind, and whatever goes wrong is a result.

What we ourselves lack, descriptors or memory, says nothing of the target: such a look is UNKNOWN
and counts for nothing. Otherwise a shortage of the brain would restart every healthy service.
"""

import errno
import logging
import os
import socket
from collections.abc import Mapping

from resile.core.vocabulary import CheckState
from resile.errors import ResileError
from resile.health.checks.databases import look_postgres, look_sqlite
from resile.health.checks.http import look_http
from resile.health.checks.network import look_tcp, look_unix
from resile.health.checks.port import (
    Finding,
    Look,
    LookContext,
    down,
    no_answer,
    one_line,
    unknown,
)
from resile.health.checks.processes import look_command, look_heartbeat, look_process
from resile.health.checks.resources import look_disk, look_file, look_memory
from resile.health.model import CheckKind, CheckResult, CheckSpec

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

logger = logging.getLogger(__name__)

LOOKS: Mapping[CheckKind, Look] = {
    CheckKind.COMMAND: look_command,
    CheckKind.DISK: look_disk,
    CheckKind.FILE: look_file,
    CheckKind.HEARTBEAT: look_heartbeat,
    CheckKind.HTTP: look_http,
    CheckKind.MEMORY: look_memory,
    CheckKind.POSTGRES: look_postgres,
    CheckKind.PROCESS: look_process,
    CheckKind.SQLITE: look_sqlite,
    CheckKind.TCP: look_tcp,
    CheckKind.UNIX: look_unix,
}


def look(spec: CheckSpec, context: LookContext) -> CheckResult:
    """Look once at what a check names. Blocks for about its time-out at most; never raises.

    An error that nobody expected is a result too, and is logged.
    """
    begun_s = context.clock.monotonic()
    finding = _find(spec, context)
    if finding.state is CheckState.DOWN and (lack := _lack()):
        finding = unknown(lack)
    latency_s = context.clock.monotonic() - begun_s
    return CheckResult(
        check=spec.id,
        state=finding.state,
        reason=one_line(finding.reason),
        latency_s=latency_s,
        at=context.clock.now(),
        certificate=finding.certificate,
    )


def _find(spec: CheckSpec, context: LookContext) -> Finding:
    try:
        return LOOKS[spec.kind](spec, context)
    except TimeoutError:
        return no_answer(spec.timeout_s)
    except OSError as exc:
        return _shortage(exc) or down(_told(exc, spec))
    except MemoryError:
        return unknown("could not look: out of memory")
    except ResileError as exc:
        told = f"{exc.message}; {exc.hint}" if exc.hint else exc.message
        return _shortage(exc.__cause__) or down(told)
    except Exception as exc:
        logger.exception("check.look_failed", extra={"check": spec.id})
        return down(f"the look failed: {exc!r}")


def _shortage(exc: BaseException | None) -> Finding | None:
    """Give the finding if it was we who lacked something."""
    if isinstance(exc, MemoryError):
        return unknown("could not look: out of memory")
    if isinstance(exc, OSError) and exc.errno in _SHORTAGES:
        return unknown(f"could not look: {exc.strerror}")
    return None


def _lack() -> str:
    """Tell what we lack right now; empty if nothing.

    SQLite and libpq tell a want of descriptors in words only, so we try for ourselves.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as exc:
        return f"could not look: {exc.strerror}"
    return ""


def _told(exc: OSError, spec: CheckSpec) -> str:
    """Say what the system said, in words that need no errno."""
    where = spec.target.partition("?")[0]
    match exc:
        case ConnectionRefusedError():
            return f"connection refused by {where}"
        case ConnectionResetError() | BrokenPipeError():
            return f"connection reset by {where}"
        case FileNotFoundError():
            return f"{where} does not exist"
        case socket.gaierror():
            return f"cannot resolve the host of {where}: {exc.strerror}"
        case _:
            return f"{exc.strerror or exc} ({where})"
