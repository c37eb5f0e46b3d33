"""The error of a call that took longer than it may."""

from resile.errors import TimeoutExceededError


def too_slow(name: str, seconds: float) -> TimeoutExceededError:
    """Make the error of a call that was stopped."""
    return TimeoutExceededError(
        f"{name!r} took longer than the {seconds:.3g} s that it had",
        timeout_s=seconds,
        hint="find out what it waits for, or give it more time",
    )
