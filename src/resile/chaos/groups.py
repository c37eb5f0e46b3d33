"""Control groups as faults need them: to be in one, and to change what one may use for a while."""

from collections.abc import Sequence

from resile.chaos.port import Host
from resile.chaos.targets import group_of, running, service_of
from resile.errors import RejectedError


def joined(target: str, host: Host) -> Sequence[str]:
    """Give the files of a service's group that a process joins it by; none for the machine.

    Raises:
        ConfigError: If there is no such service.
        RejectedError: If it does not run, or has no group.
    """
    if not target:
        return ()
    service = service_of(target, host)
    running(service)
    files = group_of(service, host).join_files
    if not files:
        raise RejectedError(
            "this machine keeps no control groups", hint="see why with `resile doctor`"
        )
    return files
