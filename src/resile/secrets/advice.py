"""What is not as it should be around secrets, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class AdviceLevel(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Something does not work, or lies open."""
    WARNING = "warning"
    """It works, and will not for long, or not when it matters."""
    NOTE = "note"
    """It could be better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that is not as it should be.

    Args:
        level: How bad it is.
        about: The secret, file or provider that it is about.
        message: One sentence with the facts. Never a value.
        hint: What to do.
    """

    level: AdviceLevel
    about: str
    message: str
    hint: str


@runtime_checkable
class Examined(Protocol):
    """A provider that knows more of itself than `check` tells."""

    def examine(self) -> tuple[Advice, ...]:
        """Look at all of it, which may take seconds.

        Raises:
            SecretError: If it cannot even be looked at.
        """
        ...


@runtime_checkable
class TellsTime(Protocol):
    """A provider that knows how its clock differs from ours."""

    def clock_skew_s(self) -> float | None:
        """Give how many seconds its clock is ahead of ours; None if it has not said yet."""
        ...
