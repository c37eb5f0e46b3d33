"""How often one client may ask, so that none takes the keeper from the others or fills the journal. Pure."""

from collections import OrderedDict
from collections.abc import Callable

BURST, PER_S = 1000.0, 200.0
"""A process that starts may ask for many at once; one that asks so often all the time keeps nothing."""
FAILURE_COSTS = 20.0
"""Ten questions a second that fail: each is a record, and who guesses names asks many."""
CLIENTS_MAX = 1000


class Pace:
    """Of one client. Not thread-safe.

    Args:
        monotonic: Tells the time.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left = BURST
        self._at_s = monotonic()

    def wait_s(self) -> float:
        """Count a question; give after how long it may be asked, 0 if that is now."""
        now_s = self._monotonic()
        self._left = min(BURST, self._left + (now_s - self._at_s) * PER_S)
        self._at_s = now_s
        if self._left < 1:
            return (1 - self._left) / PER_S
        self._left -= 1
        return 0.0

    def failed(self) -> None:
        """Count that a question failed."""
        self._left = max(self._left - FAILURE_COSTS, -BURST)


class Paces:
    """Of all clients, by their names. Not thread-safe.

    Args:
        monotonic: Tells the time.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def of(self, client: str) -> Pace:
        """Give the pace of a client, which all its connections share."""
        pace = self._paces.setdefault(client, Pace(self._monotonic))
        self._paces.move_to_end(client)
        if len(self._paces) > CLIENTS_MAX:
            self._paces.popitem(last=False)
        return pace
