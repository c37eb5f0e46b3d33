"""What an outbox holds and how much of it, as frozen data; and what follows from a failed attempt."""

import hashlib
import json
import random
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from resile.core.units import parse_size
from resile.errors import ConfigError
from resile.policies import Backoff, Options, Schedule

NAME_LENGTH_MAX: Final = 200
"""Of an id or a key."""
WHY_LENGTH_MAX: Final = 300
"""Of the reason that is kept with a dead letter: a line, not a page."""
JITTER: Final = 0.2
_CHECKSUM_BYTES: Final = 8


class WhenFull(StrEnum):
    """What happens to a message for which there is no room.

    REFUSE: `put` raises OutboxFullError. DROP_OLDEST: the oldest that is not being sent is lost.
    """

    REFUSE = "refuse"
    DROP_OLDEST = "drop_oldest"


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much an outbox keeps, and how often it tries.

    Args:
        count_max: Messages that wait, 1..1000000. Default 10,000.
        bytes_max: Of their JSON together, 1kB..1TB; a message is never larger. Default 64 MiB.
        when_full: refuse or drop_oldest. Default refuse: nothing is lost without a word.
        attempts: So many in vain make a dead letter, 1..10000. Default 20: some hours.
        initial: Seconds before the second attempt, 10 ms..1d; twice as many each time. Default 1.
        max: The longest wait between two, 10 ms..7d; a fifth may be added. Default 10 minutes.
        lease: Seconds that one attempt may take before another process may make it as well,
            100 ms..1d; longer than any. Default 5 minutes.
        dead_max: Dead letters, 1..1000000; the oldest goes. Their JSON too is `bytes_max` at most.
            Default 1000.
        remembered_max: Ids of messages that were sent, for those that are put twice, 0..10000000.
            Default 100,000.

    Raises:
        ConfigError: If an option is out of its range; all of them are told at once.
    """

    _: KW_ONLY
    count_max: int = 10_000
    bytes_max: int | str = 64 << 20
    when_full: WhenFull | str = WhenFull.REFUSE
    attempts: int = 20
    initial: float | str = 1.0
    max: float | str = 600.0
    lease: float | str = 300.0
    dead_max: int = 1000
    remembered_max: int = 100_000

    def __post_init__(self) -> None:
        options = Options(self)
        options.whole("count_max", "dead_max", low=1, high=1_000_000)
        options.whole("attempts", low=1, high=10_000)
        options.whole("remembered_max", low=0, high=10_000_000)
        try:
            object.__setattr__(self, "bytes_max", parse_size(self.bytes_max))
            options.whole("bytes_max", low=1000, high=10**12)
        except ValueError as exc:
            options.refuse("bytes_max", str(exc))
        options.choice("when_full", WhenFull)
        options.seconds("initial", low=0.01, high=86400)
        options.seconds("max", low=0.01, high=7 * 86400)
        options.seconds("lease", low=0.1, high=86400)
        if options.is_clean and float(self.initial) > float(self.max):
            options.refuse("initial", f"{self.initial} s is above max")
        options.check()

    @property
    def size_max(self) -> int:
        """The bytes in `bytes_max`."""
        return int(self.bytes_max)

    @property
    def lease_s(self) -> float:
        """The seconds in `lease`."""
        return float(self.lease)

    def wait_s(self, tries: int, chance: random.Random) -> float:
        """Tell the seconds before the next attempt, after so many in vain."""
        schedule = Schedule(
            kind=Backoff.EXPONENTIAL,
            initial_s=float(self.initial),
            max_s=float(self.max),
            multiplier=2.0,
            jitter=JITTER,
        )
        return schedule.wait_s(tries, 0.0, chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An operation that is to be sent.

    Args:
        id: As it was put; the receiver can tell by it what it has already.
        key: Messages of one key are sent in their order.
        value: As it was put, as JSON keeps it.
        put_at: When; aware, UTC.
        tries: Which attempt this is, 1 for the first.
    """

    id: str
    key: str
    value: Any
    put_at: datetime
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that is not tried any more.

    Args:
        message: What it was.
        why: What came of the last attempt.
    """

    message: Message
    why: str


class Receipt(NamedTuple):
    """What `put` did: the message's id, and False if it was known already, so nothing was done."""

    id: str
    is_new: bool


class Drained(NamedTuple):
    """What came of a drain.

    `waiting` counts all that is left, also what is not due yet or is being sent by somebody else.
    """

    sent: int = 0
    failed: int = 0
    dead: int = 0
    waiting: int = 0


class Counts(NamedTuple):
    """How full an outbox is: messages that wait, their bytes, dead letters, and how many were dropped."""

    waiting: int
    size: int
    dead: int
    dropped: int


def written(value: object) -> bytes:
    """Write a value as JSON.

    Raises:
        ConfigError: If it is none.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        _check_keys(value)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"what is put into an outbox is JSON data: {exc}",
            hint="text, finite numbers, true, false, null, lists, and maps with text as keys",
        ) from exc


def _check_keys(value: object) -> None:
    """Refuse keys that JSON would turn into text without a word; the value is known to end.

    Raises:
        TypeError: If a key is no text.
    """
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r:.80} is no text")
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)


def checksum(message_id: str, key: str, body: bytes) -> bytes:
    """Sum up what must not change between `put` and the sending."""
    names = f"{len(message_id)} {message_id}{key}".encode()
    return hashlib.blake2b(names + body, digest_size=_CHECKSUM_BYTES).digest()
