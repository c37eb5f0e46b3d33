"""What processes say to each other of a shared breaker. Times are seconds from now: clocks differ."""

from typing import NamedTuple


class Claim(NamedTuple):
    """What one process learned about what a breaker guards.

    Args:
        name: The guard's.
        is_open: It opened; False: a probe went well, and it closed.
        for_s: How long it is open from now on; 0 if it closed.
        generation: Of the record that the process knew; a later one makes a closing stale.
        why: What led to it.
    """

    name: str
    is_open: bool
    for_s: float
    generation: int
    why: str


class Held(NamedTuple):
    """What holds for all, where it is kept. `until_s` is of the keeper's clock, and of no other's.

    Args:
        generation: Grows with each change; 0 before the first one.
        is_open: The state.
        until_s: When the open time ends.
        owner: Whose claim it was; empty before the first one.
        why: What led to it.
    """

    generation: int = 0
    is_open: bool = False
    until_s: float = 0.0
    owner: str = ""
    why: str = ""

    def record(self, name: str, reader: str, now_s: float) -> "Record":
        """Give it as one process is told."""
        left_s = max(0.0, self.until_s - now_s) if self.is_open else 0.0
        is_mine = self.owner == reader
        return Record(name, self.generation, self.is_open, left_s, is_mine, self.why)


class Record(NamedTuple):
    """What holds for all, as a process is told.

    Args:
        name: The guard's.
        generation: As in `Held`.
        is_open: The state.
        left_s: Seconds until the open time ends, when it was told; 0 while nobody has probed yet.
        is_mine: This process claimed it.
        why: What led to it.
    """

    name: str
    generation: int
    is_open: bool
    left_s: float
    is_mine: bool
    why: str
