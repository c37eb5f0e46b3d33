"""What a flow asks of whoever drives it: a flow decides, a driver waits. Threads and tasks share flows.

A flow is a generator. It yields a step and is sent its result, or has its error thrown into it.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from resile.clients.vault.model import Call
from resile.policies.flights import Flight

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a request; the result is its Reply. Without an answer the error is a ProviderDownError.

    Args:
        call: What to send.
        token: With which token; empty for none.
    """

    call: Call[Any]
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Wait until another one has landed a flight; the result says whether it has.

    Args:
        flight: What it does.
        timeout_s: No longer than this.
    """

    flight: Flight[Any]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run what blocks for a moment, such as reading a file; the result is its own.

    Args:
        function: What to run.
    """

    function: Callable[[], Any]


Step = Send | Join | Run
Flow = Generator[Step, Any, T]
