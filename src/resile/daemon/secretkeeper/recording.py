"""Records every access before its value is given; equal ones within a second share a record."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from resile.core.clock import Clock
from resile.core.events import Payload, SecretAccessed
from resile.errors import ResileError

WINDOW_S = 1.0
WINDOWS_MAX = 10_000
"""So many different accesses are counted at once; the oldest are recorded before their second is over."""

Tell = Callable[..., None]


@dataclass(slots=True, eq=False)
class _Window:
    """One second of equal accesses; the first of them is recorded by itself."""

    began_s: float
    done: threading.Event = field(default_factory=threading.Event)
    error: ResileError | None = None
    more: int = 0


class Recorder:
    """Turns accesses into records. Safe to share between threads.

    The first access of its sort is durable before its value is given. Equal ones that come in the next
    second are counted, and told when it is over: a crash may lose that count, but never that this
    client had this version.

    Args:
        tell: Journals payloads; durable when it returns.
        clock: Measures the second.
    """

    def __init__(self, tell: Tell, *, clock: Clock) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[SecretAccessed, _Window] = OrderedDict()

    def record(self, access: SecretAccessed) -> None:
        """Record one access; its record is durable when this returns.

        Raises:
            ResileError: If it cannot be; the value must not be given then.
        """
        now_s = self._clock.monotonic()
        with self._lock:
            window = self._windows.get(access)
            is_first = window is None or now_s - window.began_s >= WINDOW_S
            if window is None or is_first:
                left = window.more if window is not None else 0
                window = self._windows[access] = _Window(now_s)
                self._windows.move_to_end(access)
        if not is_first:
            self._join(access, window)
            return
        try:
            self._tell(replace(access, count=1 + left))
        except ResileError as exc:
            window.error = exc
            with self._lock:
                if self._windows.get(access) is window:
                    del self._windows[access]
            raise
        finally:
            window.done.set()
        if len(self._windows) > WINDOWS_MAX:
            self.flush(keep=WINDOWS_MAX // 2)

    def flush(self, *, keep: int = WINDOWS_MAX) -> None:
        """Tell the counts of all seconds that are over, and of the oldest above `keep`.

        Raises:
            ResileError: If they cannot be recorded; they are told the next time.
        """
        now_s = self._clock.monotonic()
        due: list[Payload] = []
        with self._lock:
            for access, window in list(self._windows.items()):
                if now_s - window.began_s < WINDOW_S and len(self._windows) <= keep:
                    break
                del self._windows[access]
                if window.more:
                    due.append(replace(access, count=window.more))
        if due:
            self._tell(*due)

    def _join(self, access: SecretAccessed, window: _Window) -> None:
        window.done.wait()
        if window.error is not None:
            raise window.error
        with self._lock:
            if self._windows.get(access) is window:
                window.more += 1
                return
        self._tell(access)
