"""A breaker at work: the lock around its state machine, what it has counted, and an operator's hand."""

import threading
from collections.abc import Awaitable, Callable
from math import inf, isinf
from typing import ClassVar, Final, Self, TypeVar

from resile.core.clock import Clock
from resile.core.units import parse_duration
from resile.errors import BreakerOpenError, ConfigError
from resile.policies import _async, _sync
from resile.policies.blocks import Block
from resile.policies.breaker import (
    Breaker,
    BreakerChange,
    BreakerCounts,
    BreakerMode,
    BreakerState,
    LastFailure,
)
from resile.policies.circuit import Circuit, CircuitView, Lease
from resile.policies.classify import TEXT_LENGTH_MAX, written
from resile.policies.forks import renew_in_children
from resile.policies.layer import Inline, Measure
from resile.policies.policy import Policy
from resile.policies.resumed import is_over
from resile.policies.signals import POST, Rejections
from resile.policies.tally import Tally

T = TypeVar("T")
CHANGES_KEPT_MAX = 50
"""Changes that a breaker remembers: enough for a page, and no journal."""


class BreakerLayer(Block):
    """The breaker of one guard. Safe to share between threads and tasks.

    `gate`, `hot` and `roll_at` are read without the lock by calls that go well: while `gate` is
    False a call goes through, and then ticks; `hot` asks for more, and so does the time `roll_at`.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_changes",
        "_circuit",
        "_failures",
        "_last_failure",
        "_lock",
        "clock",
        "gate",
        "hot",
        "name",
        "policy",
        "rejections",
        "rejects_until",
        "roll_at",
        "slow_s",
    )
    position: ClassVar[int] = Breaker.position

    def __init__(self, policy: Breaker, name: str, clock: Clock) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock
        self.slow_s = inf if policy.slow is None else float(policy.slow)
        self._lock = threading.Lock()
        self._changes: tuple[BreakerChange, ...] = ()
        self._last_failure: LastFailure | None = None
        self._calls = Tally()
        self.rejections = Rejections(name, clock, "breaker")
        self._failures = 0
        self._circuit = Circuit(policy, clock.monotonic(), self._changed)
        self.gate = self.hot = False
        self.roll_at = self._circuit.roll_at
        self.rejects_until = -inf
        """Until then all are rejected, by a look at the clock alone."""
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: probes and whoever held the lock are in the parent."""
        self._lock = threading.Lock()
        self.rejections.renew()
        self._circuit.release_all()

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; state, mode and counts stay."""
        if not isinstance(policy, Breaker):
            return False
        with self._lock:
            now, seq = self.clock.monotonic(), self._calls.total()
            self.policy = policy
            self.slow_s = inf if policy.slow is None else float(policy.slow)
            self._circuit.adopt(policy, now, seq)
            self._publish(now, seq)
        return True

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, or reject it."""
        return _sync.breaker(self, call)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop."""
        return await _async.breaker(self, call)

    def inline(self) -> Inline | None:
        """Give the lines of a call that goes well; none where results have to be judged."""
        if self.policy.on_result is not None:
            return None
        clock = "_resile_breaker.clock.monotonic()"
        names: dict[str, object] = {"_resile_breaker": self, "_resile_calls": self._calls.steps}
        if self.roll_at != inf or self.slow_s != inf:
            clock = "_resile_clock()"
            names["_resile_clock"] = self.clock.monotonic
        is_due = f" or {clock} >= _resile_breaker.roll_at" if self.roll_at != inf else ""
        count = (
            # The quickest step of an iterator that is one C call, and so needs no lock.
            "for _resile_seq in _resile_calls:",
            "    break",
            f"if _resile_breaker.hot{is_due}:",
            "    _resile_breaker.heat()",
        )
        slow = (
            f"if {clock} - _resile_began > {self.slow_s!r}:",
            "    _resile_breaker.was_slow()",
            "else:",
            *(f"    {line}" for line in count),
        )
        return Inline(
            kind="breaker",
            names=names,
            gate="_resile_breaker.gate",
            rejects=(
                f"_resile_left = _resile_breaker.rejects_until - {clock}",
                "if _resile_left > 0:",
                "    _resile_breaker.rejections.add()",
                "    raise _resile_open(_resile_breaker.name, _resile_left)",
            ),
            before=(f"_resile_began = {clock}",) if self.slow_s != inf else (),
            after=slow if self.slow_s != inf else count,
        )

    def was_slow(self) -> None:
        """Count a call that went well, but too slowly."""
        self.failed(f"slower than {self.slow_s:.3g} s", is_slow=True)

    def hold(self) -> "Probe":
        """Guard a block that runs once."""
        return Probe(self)

    def start(self, call: Callable[[], object] | None = None) -> "Probe":
        """Admit a call, or reject it; one that was made already is no probe, whatever came since.

        Raises:
            BreakerOpenError: If the circuit is open, or all its permits are taken.
        """
        return Probe(self).begin(needs_lease=self.gate and not (call and is_over(call)))

    def record(self, error: Exception | None) -> None:
        """Count an outcome that was not seen by a call: an error, or None for a success."""
        if error is None:
            self.succeeded()
        elif self.policy.counts_as_bad(error):
            self.failed(written(error))

    def succeeded(self) -> None:
        """Count a call that went well."""
        if self.gate and self._circuit.mode is BreakerMode.DISABLED:
            return
        next(self._calls.steps)
        if self.hot or self.clock.monotonic() >= self.roll_at:
            self.heat()

    def heat(self) -> None:
        """Let the windows hear of a call that went well and has been counted, or let time pass."""
        with self._lock:
            now = self.clock.monotonic()
            seq = self._calls.total()
            self._circuit.roll(now, seq - 1)  # This call belongs into the new bucket.
            if self.hot:
                self._circuit.good(now, seq)
            self._publish(now, seq)

    def failed(self, what: str, *, is_slow: bool = False) -> None:
        """Count a bad call."""
        with self._lock:
            now = self.clock.monotonic()
            if self._circuit.mode is BreakerMode.DISABLED:
                return
            seq = self._calls.step()
            self._note_failure(what)
            self._circuit.bad(now, seq, is_slow=is_slow)
            self._publish(now, seq)

    def admit(self) -> Lease | None:
        """Decide over a call while the gate is up.

        Raises:
            BreakerOpenError: If it may not go.
        """
        now = self.clock.monotonic()
        if now < self.rejects_until:
            self.rejections.add()
            raise BreakerOpenError(self.name, self.rejects_until - now, self._circuit.reason)
        with self._lock:
            answer = self._circuit.admit(now, self._calls.total())
            self._publish(now, self._calls.total())
            if isinstance(answer, float):
                self.rejections.add()
                raise BreakerOpenError(self.name, answer, self._circuit.reason)
            return answer

    def settle(self, lease: Lease, *, is_bad: bool | None, what: str = "") -> None:
        """Take a probe's lease back, with what it came to; None if that counts for nothing."""
        with self._lock:
            now = self.clock.monotonic()
            if is_bad is not None:
                next(self._calls.steps)
            if is_bad:
                self._note_failure(what)
            self._circuit.settle(lease, is_bad=is_bad, now=now, seq=self._calls.total())
            self._publish(now, self._calls.total())

    @property
    def state(self) -> BreakerState:
        """Tell the state as it is now; OPEN too while it is forced open."""
        with self._lock:
            self._pass_time()
            is_forced = self._circuit.mode is BreakerMode.FORCED_OPEN
            return BreakerState.OPEN if is_forced else self._circuit.state

    @property
    def mode(self) -> BreakerMode:
        """Tell who decides now."""
        with self._lock:
            self._pass_time()
            return self._circuit.mode

    @property
    def reason(self) -> str:
        """Tell why an operator set the mode; empty in automatic mode."""
        return self._circuit.reason

    @property
    def counts(self) -> BreakerCounts:
        """Tell what it has seen since its last reset."""
        with self._lock:
            return BreakerCounts(
                successes=self._calls.value() - self._failures,
                failures=self._failures,
                rejected=self.rejections.count(),
                opened=self._circuit.opened,
            )

    def measures(self) -> tuple[Measure, ...]:
        """Give its counts, and its state and mode as they are now."""
        state, mode, counts = self.state, self.mode, self.counts
        return (
            *(Measure("state", float(one is state), one.lower()) for one in BreakerState),
            *(Measure("mode", float(one is mode), one.lower()) for one in BreakerMode),
            *counts.measures(),
            Measure("opened", counts.opened),
            Measure("rejections", counts.rejected, "breaker"),
        )

    @property
    def last_failure(self) -> LastFailure | None:
        """Tell the last bad call; None if there was none since the last reset."""
        return self._last_failure

    @property
    def changes(self) -> tuple[BreakerChange, ...]:
        """Tell the last changes of state and mode, the newest last."""
        return self._changes

    @property
    def left_s(self) -> float | None:
        """Tell the seconds until a mode or the open time ends; None if neither ever does."""
        with self._lock:
            self._pass_time()
            end = self._circuit.ends_at
            return None if isinf(end) else end - self.clock.monotonic()

    def view(self) -> CircuitView:
        """Give its state, mode and turn at one moment."""
        with self._lock:
            self._pass_time()
            return self._circuit.view(self.clock.monotonic())

    def follow(self, seconds: float | None, *, why: str) -> CircuitView:
        """Do as another process that shares it: open for so many seconds, or None: close.

        Does nothing while an operator has it in hand. Gives what it is then.
        """
        with self._lock:
            now, seq = self.clock.monotonic(), self._calls.total()
            if seconds is None:
                self._circuit.follow_close(now, seq, why)
            else:
                self._circuit.follow_open(now, seconds, why)
            self._publish(now, seq)
            return self._circuit.view(now)

    def trip(self, *, why: str = "tripped by hand", for_: float | str | None = None) -> None:
        """Open it as too many failures would; it probes after `for_`, by default `open_for`.

        Raises:
            ConfigError: If the time is no duration.
        """
        seconds = None if for_ is None else _seconds(for_)
        with self._lock:
            now = self.clock.monotonic()
            self._circuit.trip(now, why, seconds)
            self._publish(now, self._calls.total())

    def reset(self, *, why: str = "reset by hand") -> None:
        """Close it, forget all counts, and let it decide by itself."""
        with self._lock:
            now = self.clock.monotonic()
            self._circuit.reset(now, self._calls.total(), why)
            self._circuit.opened = self._failures = 0
            self._last_failure = None
            self._calls.zero()
            self.rejections.reset()
            self._publish(now, self._calls.total())

    def force_open(self, *, why: str, for_: float | str | None = None) -> None:
        """Reject all calls, for a time or until `reset`.

        Raises:
            ConfigError: If the time is no duration.
        """
        self._set_mode(BreakerMode.FORCED_OPEN, why, for_)

    def disable(self, *, why: str, for_: float | str | None = None) -> None:
        """Let all calls through and count none, for a time or until `reset`.

        Raises:
            ConfigError: If the time is no duration.
        """
        self._set_mode(BreakerMode.DISABLED, why, for_)

    def metrics_only(self, *, why: str, for_: float | str | None = None) -> None:
        """Let all calls through and count them, for a time or until `reset`.

        Raises:
            ConfigError: If the time is no duration.
        """
        self._set_mode(BreakerMode.METRICS_ONLY, why, for_)

    def automatic(self, *, why: str) -> None:
        """Let it decide by itself again, from closed on; what it has counted stays."""
        self._set_mode(BreakerMode.AUTOMATIC, why, None)

    def _set_mode(self, mode: BreakerMode, why: str, for_: float | str | None) -> None:
        seconds = inf if for_ is None else _seconds(for_)
        with self._lock:
            now = self.clock.monotonic()
            self._circuit.set_mode(mode, now, self._calls.total(), until=now + seconds, why=why)
            self._publish(now, self._calls.total())

    def _pass_time(self) -> None:
        now = self.clock.monotonic()
        self._circuit.tick(now, self._calls.total())
        self._publish(now, self._calls.total())

    def _publish(self, now: float, seq: int) -> None:
        """Show calls that go well what they have to know."""
        circuit = self._circuit
        self.hot = circuit.is_hot(now, seq)
        self.roll_at = circuit.roll_at
        is_open = circuit.state is BreakerState.OPEN and circuit.mode is BreakerMode.AUTOMATIC
        self.rejects_until = circuit.open_until if is_open else -inf
        self.gate = not circuit.is_plain

    def _note_failure(self, what: str) -> None:
        self._failures += 1
        self._last_failure = LastFailure(at=self.clock.now(), what=what[:TEXT_LENGTH_MAX])

    def _changed(self, why: str) -> None:
        circuit = self._circuit
        change = BreakerChange(at=self.clock.now(), state=circuit.state, mode=circuit.mode, why=why)
        before = self._changes[-1].mode if self._changes else BreakerMode.AUTOMATIC
        self._changes = (*self._changes[1 - CHANGES_KEPT_MAX :], change)
        if POST.is_heard:
            kind = _SIGNALS[change.state] if change.mode is before else "mode"
            end = circuit.ends_at
            left_s = None if isinf(end) else end - self.clock.monotonic()
            detail = {"mode": change.mode.lower(), "why": why, "left_s": left_s}
            POST.tell(self.name, kind, self.clock, detail)


_SIGNALS: Final = {
    BreakerState.CLOSED: "closed",
    BreakerState.OPEN: "opened",
    BreakerState.HALF_OPEN: "half_open",
}


def _seconds(for_: float | str) -> float:
    try:
        return parse_duration(for_)
    except ValueError as exc:
        raise ConfigError(str(exc), hint='write for_="5m"') from exc


class Probe:
    """One call, or one block, under a breaker. Not thread-safe; one call owns it.

    Whatever happens, a lease that it holds is given back: in `__exit__` or `close`.
    """

    __slots__ = ("_began_s", "_layer", "_lease")

    def __init__(self, layer: BreakerLayer) -> None:
        self._layer = layer
        self._lease: Lease | None = None
        self._began_s = 0.0

    def __enter__(self) -> Self:
        return self.begin(needs_lease=self._layer.gate)

    def begin(self, *, needs_lease: bool) -> Self:
        """Get the right to go on.

        Args:
            needs_lease: What the gate said, which may be another thing a moment later.

        Raises:
            BreakerOpenError: If it may not.
        """
        layer = self._layer
        if needs_lease:
            self._lease = layer.admit()
        if layer.slow_s != inf:
            self._began_s = layer.clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            if error is None:
                self.returned(None)
            elif isinstance(error, Exception):
                self.failed(error)
        finally:
            self.close()

    def returned(self, result: object) -> None:
        """Count a result: a success, unless it is slow or the policy calls it bad."""
        policy = self._layer.policy
        if policy.on_result is not None and policy.on_result(result):
            self._settle(what=f"the result {result!r}")
        elif self._is_slow():
            self._settle(what=f"slower than {self._layer.slow_s:.3g} s", is_slow=True)
        elif self._lease is not None:
            self._layer.settle(self._lease, is_bad=False)
            self._lease = None
        else:
            self._layer.succeeded()

    def failed(self, error: Exception) -> None:
        """Count an error, if the dependency is to blame for it."""
        if self._layer.policy.counts_as_bad(error):
            self._settle(what=written(error))

    def close(self) -> None:
        """Give the lease back if nothing was counted: cancelled, ignored, or not at fault."""
        if self._lease is not None:
            self._layer.settle(self._lease, is_bad=None)
            self._lease = None

    def _settle(self, *, what: str, is_slow: bool = False) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._layer.settle(lease, is_bad=True, what=what)
        else:
            self._layer.failed(what, is_slow=is_slow)

    def _is_slow(self) -> bool:
        layer = self._layer
        return layer.slow_s != inf and layer.clock.monotonic() - self._began_s > layer.slow_s
