"""What workers do in tests."""

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

from resile.errors import StoreDamagedError, StoreError


def serve(setup: Any) -> Callable[[Any], Any]:
    """Do what the task says; `setup` is given back with every answer."""
    if setup == "unready":
        raise StoreError("there is no such place", hint="take another", is_transient=True)

    def do(task: Any) -> Any:
        if task == "pid":
            return os.getpid()
        if task == "damaged":
            raise StoreDamagedError("packs/ab is damaged", name="packs/ab", hint="mend it")
        if task == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if task == "broken pipe":
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "wait":
            signal.pause()
        return setup, task

    return do


def faulty(setup: Any) -> Callable[[Any], Any]:
    """Fail by a fault of ours."""
    return lambda task: {}[task]
