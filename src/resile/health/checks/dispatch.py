"""Look at whatever a check names: one way for each kind, and whatever goes wrong is a result."""

import logging
import socket
from collections.abc import Mapping

from resile.errors import ResileError
from resile.health.checks.databases import look_postgres, look_sqlite
from resile.health.checks.http import look_http
from resile.health.checks.network import look_tcp, look_unix
from resile.health.checks.port import Finding, Look, LookContext, down, no_answer, one_line
from resile.health.checks.processes import look_command, look_heartbeat, look_process
from resile.health.checks.resources import look_disk, look_file, look_memory
from resile.health.model import CheckKind, CheckResult, CheckSpec

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
    latency_s = context.clock.monotonic() - begun_s
    return CheckResult(
        check=spec.id,
        state=finding.state,
        reason=one_line(finding.reason),
        latency_s=latency_s,
        at=context.clock.now(),
    )


def _find(spec: CheckSpec, context: LookContext) -> Finding:
    try:
        return LOOKS[spec.kind](spec, context)
    except TimeoutError:
        return no_answer(spec.timeout_s)
    except OSError as exc:
        return down(_told(exc, spec))
    except ResileError as exc:
        return down(f"{exc.message}; {exc.hint}" if exc.hint else exc.message)
    except Exception as exc:
        logger.exception("check.look_failed", extra={"check": spec.id})
        return down(f"the look failed: {exc!r}")


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
