"""Functions that a contained process finds by their names."""

import os
import threading

from resile.policies.timeout import Timeout

IN_PROCESS = Timeout("20s", by="process")


@IN_PROCESS
def double(value: int) -> int:
    print("printed, not answered")  # noqa: T201 - to see that it does no harm
    return 2 * value


@IN_PROCESS
def pid() -> int:
    return os.getpid()


@IN_PROCESS
def fail(text: str) -> None:
    raise KeyError(text)


@IN_PROCESS
def unsendable() -> object:
    return threading.Lock()


@IN_PROCESS
def die() -> None:
    os._exit(3)


@Timeout("300ms", by="process")
def hang(path: str) -> None:
    threading.Event().wait(60)


class Service:
    @IN_PROCESS
    def scale(self, value: int) -> int:
        return 3 * value
