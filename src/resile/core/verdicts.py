"""What experiments with faults on purpose can show, as an enum of the vocabulary."""

from enum import StrEnum


class ExperimentVerdict(StrEnum):
    """What an experiment with faults on purpose has shown."""

    PASSED = "passed"
    """Every fault was proven to be active, and the steady state held or came back in time."""
    DEVIATED = "deviated"
    """The steady state did not hold, or did not come back in time."""
    ABORTED = "aborted"
    """A guard, a person or the kill switch ended it early."""
    INCONCLUSIVE = "inconclusive"
    """A fault could not be proven to be active: nothing is known of how the system bears it."""
    SKIPPED = "skipped"
    """A fault cannot be applied on this machine or by this user; nothing was done."""
    UNSTEADY = "unsteady"
    """The steady state did not hold before anything was done; nothing was done."""
    LEFT = "left"
    """A fault could not be proven to be gone."""
