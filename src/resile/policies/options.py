"""Check the options of a policy: every fault is found, and all are told at once."""

from collections.abc import Iterable
from enum import StrEnum
from math import inf

from resile.core.units import format_duration, parse_duration
from resile.errors import ConfigError


class Options:
    """Read a policy's options while it is made, and collect what is wrong with them.

    To be used in `__post_init__`, and closed by `check`. Not thread-safe; nobody else has it.

    Args:
        policy: A frozen value; durations that were written as text become seconds in it.
    """

    def __init__(self, policy: object) -> None:
        self._policy = policy
        self._problems: list[str] = []

    def seconds(self, *names: str, low: float = 0.0, high: float = inf) -> None:
        """Turn durations into seconds within low..high; None stays, where the option allows it."""
        for name in names:
            value = getattr(self._policy, name)
            if value is None:
                continue
            try:
                seconds = parse_duration(value)
            except (ValueError, TypeError):
                seconds = None
            if seconds is None or isinstance(value, bool):
                self.refuse(name, f'{value!r} is not a duration; write "250ms" or seconds')
                continue
            object.__setattr__(self._policy, name, seconds)
            if not low <= seconds <= high:
                most = "" if high == inf else format_duration(high)
                self.refuse(name, f"{value!r} is not in {format_duration(low)}..{most}")

    def whole(self, *names: str, low: int, high: int) -> None:
        """Check whole numbers within low..high; None stays, where the option allows it."""
        for name in names:
            value = getattr(self._policy, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                self.refuse(name, f"{value!r} is not a whole number in {low}..{high}")

    def number(self, *names: str, low: float, high: float) -> None:
        """Check numbers within low..high; None stays, where the option allows it."""
        for name in names:
            value = getattr(self._policy, name)
            if value is None:
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                self.refuse(name, f"{value!r} is not a number in {low:g}..{high:g}")

    def flags(self, *names: str) -> None:
        """Check that options are True or False."""
        for name in names:
            value = getattr(self._policy, name)
            if not isinstance(value, bool):
                self.refuse(name, f"{value!r} is neither True nor False")

    def functions(self, *names: str) -> None:
        """Check what is called later; None stays, where the option allows it."""
        for name in names:
            value = getattr(self._policy, name)
            if value is not None and not callable(value):
                self.refuse(name, f"{value!r:.80} is not callable; give a function")

    def text(self, *names: str, low: int, high: int) -> None:
        """Check texts of low..high characters."""
        for name in names:
            value = getattr(self._policy, name)
            if not isinstance(value, str) or not low <= len(value) <= high:
                self.refuse(name, f"{value!r:.80} is not a text of {low}..{high} characters")

    def several(self, *names: str, high: int) -> None:
        """Turn lists into tuples of at most `high`; a text is none, though it has letters."""
        for name in names:
            value = getattr(self._policy, name)
            if isinstance(value, str | bytes) or not isinstance(value, Iterable):
                self.refuse(name, f"{value!r:.80} is not a list; write [{value!r:.80}]")
                continue
            items = tuple(value)
            object.__setattr__(self._policy, name, items)
            if len(items) > high:
                self.refuse(name, f"has {len(items)} items; {high} at most")

    def choice(self, name: str, kind: type[StrEnum]) -> None:
        """Turn the text of an enumeration into its member."""
        value = getattr(self._policy, name)
        try:
            object.__setattr__(self._policy, name, kind(value))
        except ValueError:
            self.refuse(name, f"{value!r} is none of {', '.join(kind)}")

    def errors(self, *names: str) -> None:
        """Turn one class of errors, or several, into a tuple of such classes."""
        for name in names:
            value = getattr(self._policy, name)
            given = tuple(value) if isinstance(value, Iterable) else (value,)
            object.__setattr__(self._policy, name, given)
            if not all(isinstance(one, type) and issubclass(one, Exception) for one in given):
                self.refuse(name, "takes classes below Exception: cancellation always passes")

    def refuse(self, name: str, problem: str) -> None:
        """Note a fault of one option."""
        self._problems.append(f"{type(self._policy).__name__}.{name}: {problem}")

    @property
    def problems(self) -> tuple[str, ...]:
        """Tell what was refused."""
        return tuple(self._problems)

    @property
    def is_clean(self) -> bool:
        """True while nothing was refused."""
        return not self._problems

    def check(self) -> None:
        """Raise what was found.

        Raises:
            ConfigError: If anything was refused; `problems` has all of it.
        """
        if self._problems:
            count = len(self._problems)
            raise ConfigError(
                f"{count} {'option is' if count == 1 else 'options are'} wrong: "
                + "; ".join(self._problems),
                hint="the ranges stand in the docstring of the policy",
                problems=tuple(self._problems),
            )
