"""What it means that a signal ended a process, in words: for services and for contained runs. Pure."""

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, str]] = {
    "SIGABRT": "it gave up by itself",
    "SIGBUS": "it touched memory that is not there",
    "SIGFPE": "it divided by zero, or the like",
    "SIGILL": "it ran into what is no code",
    "SIGPIPE": "nobody reads any more what it wrote",
    "SIGSEGV": "it touched memory that is not its own",
    "SIGSYS": "it made a system call that it may not make",
    "SIGTRAP": "it ran into a breakpoint",
    "SIGXCPU": "it used up its processor time",
    "SIGXFSZ": "a file would have become larger than it may be",
}
"""What the process did, for signals that the kernel sends, or that it sends to itself."""


def signal_meaning(name: str) -> str:
    """Tell what a process did that a signal ended; empty where the signal does not tell.

    Args:
        name: As the kernel's headers spell it, such as `SIGSEGV`.
    """
    return MEANINGS.get(name, "")
