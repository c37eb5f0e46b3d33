"""Call a function in a process that can be killed; what does so is found by its name.

The policies stand below containment and must not import it. It does not register itself either:
then whoever forgot to import it would learn so in production. So the first call that needs it
imports it by name, as a console script's entry point is found, and asks it through this port.
"""

from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol, cast

_HOME: Final = "resile.contain.calls"


class ProcessCaller(Protocol):
    """What a module at `_HOME` gives as `call_in_process`."""

    def __call__(self, call: "partial[Any]", seconds: float, name: str) -> object:
        """Call a function in a process of its own, and give its result or raise its error.

        Raises:
            TimeoutExceededError: If it took longer; nothing of it lives on.
            ConfigError: If the call cannot be sent.
        """
        ...


def call_in_process(call: "partial[Any]", seconds: float, name: str) -> object:
    """Call a function in a contained process, for so many seconds at most.

    Raises:
        TimeoutExceededError: If it took longer; nothing of it lives on.
        ConfigError: If the call cannot be sent.
    """
    caller = cast("ProcessCaller", import_module(_HOME).call_in_process)
    return caller(call, seconds, name)
