"""The state machine of a breaker. Pure: the time comes in, decisions come out; no lock, no wait.

Probes hold leases. A lease belongs to one generation of the circuit, which ends with each change of
state: what a probe of an older generation reports is not heard. A lease that is not given back
counts as a bad probe when its time is over, so no permit can be lost.
"""

from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple

from resile.policies.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, BreakerMode, BreakerState
from resile.policies.windows import Window

_OF_WINDOWS: Final = ("failures", "ratio", "slow_ratio", "window", "window_calls", "minimum")
"""Options of the windows; with others, what these have seen means nothing."""


class Lease(NamedTuple):
    """The right to one probe."""

    generation: int
    number: int


class CircuitView(NamedTuple):
    """A circuit at one moment.

    Args:
        state: The state; under a mode of an operator, the one that it would be in.
        mode: Who decides.
        turn: Grows with each change of state or mode.
        left_s: Seconds until the open time ends; 0 unless it is open.
    """

    state: BreakerState
    mode: BreakerMode
    turn: int
    left_s: float


class Circuit:
    """State, mode, leases and windows of one breaker. Not thread-safe.

    Args:
        policy: Its limits.
        now: Monotonic seconds.
        note: Is told why, at each change of state or mode.
    """

    __slots__ = (
        "_generation",
        "_lease_number",
        "_leases",
        "_note",
        "_reopened",
        "_successes",
        "main",
        "mode",
        "mode_until",
        "open_until",
        "opened",
        "policy",
        "reason",
        "slow",
        "state",
    )

    def __init__(self, policy: Breaker, now: float, note: Callable[[str], None]) -> None:
        self.policy = policy
        self.state: BreakerState = CLOSED
        self.mode = BreakerMode.AUTOMATIC
        self.reason = ""
        """Why an operator set the mode; empty in automatic mode."""
        self.mode_until = inf
        self.open_until = -inf
        self.opened = 0
        self._note = note
        self._generation = 0
        self._lease_number = 0
        self._leases: dict[int, float] = {}
        self._successes = 0
        self._reopened = 0
        self.main = policy.main_window()
        self.slow = policy.slow_window()
        self._start_windows(now, 0)

    def admit(self, now: float, seq: int) -> Lease | float | None:
        """Decide over a call.

        Returns:
            None if it may go, a Lease if it may go as a probe; else the seconds until it is worth
            trying again, infinite if nobody knows.
        """
        self.tick(now, seq)
        if self.mode is BreakerMode.FORCED_OPEN:
            return self.mode_until - now
        if self.mode is not BreakerMode.AUTOMATIC or self.state is CLOSED:
            return None
        if self.state is OPEN:
            return self.open_until - now
        if len(self._leases) >= self.policy.permits:
            return inf
        self._lease_number += 1
        self._leases[self._lease_number] = now + float(self.policy.permit_for)
        return Lease(self._generation, self._lease_number)

    def settle(self, lease: Lease, *, is_bad: bool | None, now: float, seq: int) -> None:
        """Take back the lease of a probe with what it came to; None if that counts for nothing."""
        if lease.generation != self._generation or self._leases.pop(lease.number, None) is None:
            return
        if is_bad:
            self._open(now, "a probe failed", is_again=True)
        elif is_bad is False:
            self._successes += 1
            if self._successes >= self.policy.successes:
                self._close(now, seq, f"{self._successes} probes went well")

    def adopt(self, policy: Breaker, now: float, seq: int) -> None:
        """Take other limits; the state stays, and what the windows have seen if they are as before.

        An open time that would end earlier by the new limits ends then.
        """
        before, self.policy = self.policy, policy
        if any(getattr(before, name) != getattr(policy, name) for name in _OF_WINDOWS):
            self.main, self.slow = policy.main_window(), policy.slow_window()
            self._start_windows(now, seq)
        if self.state is OPEN:
            self.open_until = min(self.open_until, now + self._open_s())

    def release_all(self) -> None:
        """Take all leases back, uncounted: nobody is there any more to give them back."""
        self._leases.clear()

    def bad(self, now: float, seq: int, *, is_slow: bool) -> None:
        """Count a bad call that was made while closed; open if there are too many."""
        if not self._counts():
            return
        window = self.slow if is_slow and self.slow is not None else self.main
        window.bad(now, seq)
        self._judge(now, seq)

    def good(self, now: float, seq: int) -> None:
        """Count a good call that was made while closed, where windows wait for one."""
        if self._counts():
            self.main.good()
            self._judge(now, seq)

    def is_hot(self, now: float, seq: int) -> bool:
        """Tell whether the windows want to hear of the next good call."""
        return any(window.waits_for_good(now, seq) for window in self._windows())

    @property
    def is_plain(self) -> bool:
        """True while calls go through without a look: closed, and nobody has set a mode."""
        return self.state is CLOSED and self.mode is BreakerMode.AUTOMATIC

    def roll(self, now: float, seq: int) -> None:
        """Let time pass in the windows."""
        for window in self._windows():
            window.roll(now, seq)

    @property
    def roll_at(self) -> float:
        """Tell when `roll` is due."""
        return min(window.roll_at for window in self._windows())

    def tick(self, now: float, seq: int) -> None:
        """Do what time alone does: end a mode, become half-open, take leases that ran out."""
        if self.mode is not BreakerMode.AUTOMATIC and now >= self.mode_until:
            self.set_mode(BreakerMode.AUTOMATIC, now, seq, until=inf, why="its time was over")
        if self.state is OPEN and now >= self.open_until:
            self._enter(HALF_OPEN, "the open time is over")
        elif self.state is HALF_OPEN and any(end <= now for end in self._leases.values()):
            self._open(now, "a probe did not come back", is_again=True)

    def view(self, now: float) -> CircuitView:
        """Give what it is now."""
        left_s = self.open_until - now if self.state is OPEN else 0.0
        return CircuitView(self.state, self.mode, self._generation, max(0.0, left_s))

    def follow_open(self, now: float, seconds: float, why: str) -> None:
        """Open because another process did; an open time that lasts longer stays."""
        if self.mode is not BreakerMode.AUTOMATIC:
            return
        if self.state is OPEN:
            self.open_until = max(self.open_until, now + seconds)
        else:
            self.opened += 1
            self.open_until = now + seconds
            self._enter(OPEN, why)

    def follow_close(self, now: float, seq: int, why: str) -> None:
        """Close because another process did."""
        if self.mode is BreakerMode.AUTOMATIC and self.state is not CLOSED:
            self._close(now, seq, why)

    @property
    def ends_at(self) -> float:
        """Tell when a mode, or the open time, is over; infinite if nothing ends by time."""
        if self.mode is not BreakerMode.AUTOMATIC:
            return self.mode_until
        return self.open_until if self.state is OPEN else inf

    def trip(self, now: float, why: str, seconds: float | None = None) -> None:
        """Open as after too many bad calls, or for so many seconds."""
        self._open(now, why, is_again=False, seconds=seconds)

    def reset(self, now: float, seq: int, why: str) -> None:
        """Close, forget, and go back to automatic mode."""
        self.mode, self.mode_until, self.reason = BreakerMode.AUTOMATIC, inf, ""
        self._close(now, seq, why)

    def set_mode(self, mode: BreakerMode, now: float, seq: int, *, until: float, why: str) -> None:
        """Set who decides; the state begins anew as closed."""
        is_automatic = mode is BreakerMode.AUTOMATIC
        self.mode, self.mode_until = mode, until
        self.reason = "" if is_automatic else why
        self._close(now, seq, why)

    def _counts(self) -> bool:
        return self.state is CLOSED and self.mode in (
            BreakerMode.AUTOMATIC,
            BreakerMode.METRICS_ONLY,
        )

    def _judge(self, now: float, seq: int) -> None:
        if self.mode is not BreakerMode.AUTOMATIC:
            return
        if self.main.is_over(now, seq):
            self._open(now, "too many bad calls", is_again=False)
        elif self.slow is not None and self.slow.is_over(now, seq):
            self._open(now, "too many slow calls", is_again=False)

    def _open(self, now: float, why: str, *, is_again: bool, seconds: float | None = None) -> None:
        self._reopened = self._reopened + 1 if is_again else 0
        self.opened += 1
        self.open_until = now + (self._open_s() if seconds is None else seconds)
        self._enter(OPEN, why)

    def _open_s(self) -> float:
        # Beyond 300 doublings nothing grows any more, and floats would overflow.
        growth = self.policy.open_growth ** min(self._reopened, 300)
        most = max(float(self.policy.open_max), float(self.policy.open_for))
        return min(float(self.policy.open_for) * growth, most)

    def _close(self, now: float, seq: int, why: str) -> None:
        self._reopened = 0
        self.open_until = -inf
        self._start_windows(now, seq)
        self._enter(CLOSED, why)

    def _enter(self, state: BreakerState, why: str) -> None:
        self.state = state
        self._generation += 1
        self._leases.clear()
        self._successes = 0
        self._note(why)

    def _start_windows(self, now: float, seq: int) -> None:
        for window in self._windows():
            window.start(now, seq)

    def _windows(self) -> tuple[Window, ...]:
        return (self.main,) if self.slow is None else (self.main, self.slow)
