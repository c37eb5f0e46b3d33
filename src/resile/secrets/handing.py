"""From one version to the next: who has to be told, and when nothing here uses the old one any more.

That is so when

- every callback of the name has returned, and
- nobody holds a `Secret` of an older version any more. That is not asked for where there are callbacks
  and each of them is enough: then their return says that the old one is not used.

Where nobody is told, half a second passes besides: the text that was revealed just before is used by then.
A process keeps a `Secret` for as long as it uses what it was read for, and reveals it where it is used.

An error that was handled keeps the frames that it came through, and with them what they held, until the
garbage collector finds it, which may be hours later. So garbage is collected for an old version that
does not go by itself.
"""

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from resile.core.log_line import log_line
from resile.errors import ConfigError
from resile.secrets.value import Secret

logger = logging.getLogger(__name__)

LINGER_S: Final = 0.5
COLLECT_S: Final = 1.0
COLLECTIONS_MAX: Final = 6
"""For one version, after 1, 3, 7 ... seconds: what is held longer than a minute is held on purpose."""
CALLBACKS_MAX: Final = 100
"""Of one name; names are bounded by those that are kept."""
FOLLOWED_MAX: Final = 1000
AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 60.0
"""A callback that failed is called again after a second, then after twice as long, up to a minute."""

Callback = Callable[[Secret], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A version that has taken the place of all older ones.

    Args:
        name: The secret.
        version: The newest.
        leases: Those of older versions; nothing here lives by them any more.
    """

    name: str
    version: str
    leases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done now.

    Args:
        calls: Names whose callbacks are to be called, by `call`.
        settled: Versions that have taken the place of all older ones. Each is given once.
        ended: What nothing here uses any more, in any version. Each is given once.
        needs_collection: An old version may be held by garbage alone.
    """

    calls: list[str]
    settled: list[Settled]
    ended: list[Settled]
    needs_collection: bool


@dataclass(slots=True, eq=False)
class _Follower:
    """Who wants to know of each new version."""

    callback: Callback
    is_enough: bool
    serial: int = 0
    """Of the newest version that it was told of."""


@dataclass(slots=True)
class _Line:
    """The versions of one name. `serial` counts them."""

    version: str = ""
    serial: int = 0
    newest: "weakref.ref[Secret] | None" = None
    lease_id: str = ""
    older: "list[weakref.ref[Secret]]" = field(default_factory=list)
    leases: list[str] = field(default_factory=list)
    followers: list[_Follower] = field(default_factory=list)
    settled: int = 0
    quiet_at_s: float = inf
    collect_at_s: float = inf
    collections: int = 0
    call_at_s: float = inf
    tries: int = 0
    is_calling: bool = False
    is_kept: bool = False
    """It is in memory, and may be given to somebody."""


class Handing:
    """Keeps who is to be told of new versions, and who holds old ones. Safe to share between threads.

    Args:
        nudge: Has `due` looked at soon. Called when an object dies, so it may take no lock.
    """

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Begin anew in the child of a fork: the calls that ran are the parent's."""
        self._lock = threading.Lock()
        for line in self._lines.values():
            line.is_calling = False

    def follow(self, name: str, callback: Callback, *, is_enough: bool) -> Callable[[], None]:
        """Have a callback called with each new version from now on; give what ends that.

        Raises:
            ConfigError: If there are too many.
        """
        follower = _Follower(callback, is_enough)
        with self._lock:
            line = self._line(name)
            followed = sum(1 for one in self._lines.values() if one.followers)
            if len(line.followers) >= CALLBACKS_MAX or (
                followed >= FOLLOWED_MAX and not line.followers
            ):
                raise ConfigError(
                    f"too many callbacks wait for new versions of secrets, such as {name!r}",
                    hint="register once for each use, and call what it returns when that ends",
                )
            follower.serial = line.serial
            line.followers.append(follower)

        def unfollow() -> None:
            with self._lock:
                if follower in line.followers:
                    line.followers.remove(follower)
            self._nudge()

        return unfollow

    def is_followed(self, name: str) -> bool:
        """Tell whether somebody wants to know of each new version."""
        line = self._lines.get(name)
        return line is not None and bool(line.followers)

    def followed(self) -> tuple[str, ...]:
        """Give the names of which somebody wants to know each new version."""
        with self._lock:
            return tuple(name for name, line in self._lines.items() if line.followers)

    def took(self, name: str, secret: Secret, now_s: float) -> None:
        """Take it that a new version is served from now on."""
        with self._lock:
            line = self._line(name)
            is_first = line.serial == 0
            if line.newest is not None:
                line.older.append(line.newest)
            if line.lease_id:
                line.leases.append(line.lease_id)
            line.version, line.lease_id = secret.version, secret.lease_id
            line.newest = weakref.ref(secret, self._died)
            line.serial += 1
            line.is_kept = True
            line.quiet_at_s = -inf if is_first else inf
            line.collect_at_s, line.collections = now_s + COLLECT_S, 0
            line.call_at_s, line.tries = now_s, 0
            if is_first:
                for follower in line.followers:
                    follower.serial = line.serial

    def dropped(self, name: str) -> None:
        """Take it that a name is not in memory any more. Somebody may still hold what it gave."""
        with self._lock:
            if name in self._lines:
                self._lines[name].is_kept = False
        self._nudge()

    def due(self, now_s: float) -> Due:
        """Give what is to be done now."""
        with self._lock:
            calls = [name for name, line in self._lines.items() if _is_to_call(line, now_s)]
            for name in calls:
                self._lines[name].is_calling = True
            settled = [
                _settle(name, line)
                for name, line in self._lines.items()
                if line.settled != line.serial and _is_settled(line, now_s)
            ]
            held = [line for line in self._lines.values() if _is_to_collect(line, now_s)]
            for line in held:
                line.collections += 1
                line.collect_at_s = now_s + COLLECT_S * 2.0**line.collections
            over = [name for name, line in self._lines.items() if _has_ended(line)]
            ended = [_end(name, self._lines.pop(name)) for name in over]
        return Due(calls=calls, settled=settled, ended=ended, needs_collection=bool(held))

    def next_at_s(self, now_s: float) -> float:
        """Tell when `due` has something next; infinite if nobody knows."""
        with self._lock:
            return min((_next_at_s(line, now_s) for line in self._lines.values()), default=inf)

    def call(self, name: str, secret: Secret, now_s: float) -> None:
        """Call those who were not told of the newest version yet; for a thread that may wait.

        Args:
            name: The secret.
            secret: Its newest version.
            now_s: When.
        """
        with self._lock:
            line = self._line(name)
            serial, untold = line.serial, _untold(line)
            is_newest = line.newest is not None and line.newest() is secret
        told = [one for one in untold if is_newest and _tell(name, one.callback, secret)]
        with self._lock:
            for follower in told:
                follower.serial = serial
            line.is_calling = False
            if line.serial == serial and is_newest:
                line.tries += 1
                pause_s = AGAIN_S_MIN * 2.0 ** min(line.tries - 1, 16)
                line.call_at_s = now_s + min(pause_s, AGAIN_S_MAX)
        self._nudge()

    def skip(self, name: str, now_s: float) -> None:
        """Take it that a call could not be made now."""
        with self._lock:
            line = self._line(name)
            line.is_calling = False
            line.call_at_s = now_s + AGAIN_S_MIN

    def _line(self, name: str) -> _Line:
        return self._lines.setdefault(name, _Line())

    def _died(self, _: object) -> None:
        self._nudge()


def _untold(line: _Line) -> list[_Follower]:
    return [follower for follower in line.followers if follower.serial != line.serial]


def _is_to_call(line: _Line, now_s: float) -> bool:
    return not line.is_calling and now_s >= line.call_at_s and bool(_untold(line))


def _is_settled(line: _Line, now_s: float) -> bool:
    """Tell whether nothing uses an older version; notes when that was seen first."""
    if line.is_calling or _untold(line):
        return False
    if line.followers and all(follower.is_enough for follower in line.followers):
        line.older.clear()
        return True
    line.older = [one for one in line.older if one() is not None]
    if line.older:
        return False
    line.quiet_at_s = min(line.quiet_at_s, now_s)
    return now_s >= line.quiet_at_s + LINGER_S


def _is_to_collect(line: _Line, now_s: float) -> bool:
    return _can_collect(line) and now_s >= line.collect_at_s


def _can_collect(line: _Line) -> bool:
    """Tell whether only those who hold an older version are waited for."""
    is_waited = line.settled != line.serial and not line.is_calling and not _untold(line)
    return is_waited and bool(line.older) and line.collections < COLLECTIONS_MAX


def _settle(name: str, line: _Line) -> Settled:
    line.settled = line.serial
    leases, line.leases = tuple(line.leases), []
    return Settled(name=name, version=line.version, leases=leases)


def _end(name: str, line: _Line) -> Settled:
    leases = (*line.leases, line.lease_id) if line.lease_id else tuple(line.leases)
    return Settled(name=name, version=line.version, leases=leases)


def _has_ended(line: _Line) -> bool:
    is_held = line.newest is not None and line.newest() is not None
    return not (line.is_kept or line.followers or line.is_calling or is_held) and (
        line.settled == line.serial
    )


def _next_at_s(line: _Line, now_s: float) -> float:
    if line.settled == line.serial or line.is_calling:
        return inf
    if _untold(line):
        return line.call_at_s
    if line.quiet_at_s != inf:
        return max(now_s, line.quiet_at_s + LINGER_S)
    return max(now_s, line.collect_at_s) if _can_collect(line) else inf


def _tell(name: str, callback: Callback, secret: Secret) -> bool:
    try:
        callback(secret)
    except Exception as exc:
        fields: dict[str, object] = {"secret": name, "error": type(exc).__name__}
        logger.exception(log_line("secrets.callback_failed", fields), extra=fields)
        return False
    return True
