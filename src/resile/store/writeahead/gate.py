"""What every effect on the disk passes: the place where tests cut a process's life, or fill its disk."""

from typing import Protocol


class Gate(Protocol):
    """What each effect passes before it happens."""

    def before(self, effect: str, name: str) -> None:
        """Let it pass, or raise. Called with the effect's name and that of the entry."""
        ...


class OpenGate:
    """Lets everything pass."""

    def before(self, effect: str, name: str) -> None:
        """Do nothing."""


OPEN_GATE: Gate = OpenGate()
