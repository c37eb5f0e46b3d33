"""Timeout: an end to calls that take too long, of each attempt or of all of them together."""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar, cast

from resile.core.clock import Clock
from resile.errors import ConfigError, TimeoutExceededError
from resile.policies.admission import is_on_loop
from resile.policies.arguments import guarded_call
from resile.policies.deadlines import Deadline
from resile.policies.lateness import Lateness
from resile.policies.layer import Around, Inline, Measure
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.resumed import is_over
from resile.policies.stoppers import call_in_process

if TYPE_CHECKING:
    from resile.policies.lanes import Lanes

T = TypeVar("T")

_WAYS = (None, "signal", "process", "deadline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Policy):
    """End a call that takes too long.

    Coroutines are exact: the task is cancelled at the place where it waits. Nothing in Python can
    stop a thread, so for plain functions the caller says how:

    - `by="process"`: the call runs in a contained process, which is killed with all that it
      started. For what can be pickled: a function of a module, its arguments, its result.
    - `by="signal"`: SIGALRM interrupts the call. In the main thread only, and not while C code
      runs that does not look for signals. Blocks (`with`) cannot be stopped so, nor by process.
    - `by="deadline"`: nothing is interrupted. Waits, queues and time-outs of nested guards are
      cut to the time that is left, and the call asks for it by `resile.remaining_s()`
      to give it to its client, such as `requests.get(url, timeout=remaining_s())`.
    - Not said: a limit of each attempt refuses plain functions with an error that explains
      this: when it decorates one, or, under a guard with a name, in each call, as
      `[policy.NAME]` of a file may still say `by`. A `total` limit is a deadline.

    Args:
        each: Time of one attempt, 1ms..30d; None for no limit. May be given without a name.
        total: Time of the whole call, with all attempts and the waits between them, 1ms..30d.
            Default None. Nested guards inherit it.
        by: How plain functions are stopped. Default None: see above.

    Raises:
        TimeoutExceededError: From a call that was stopped; it is a TimeoutError too. The
            cancellation of a task from outside stays a CancelledError.
    """

    each: float | str | None = field(default=None, kw_only=False)
    total: float | str | None = None
    by: str | None = None

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        if self.by not in _WAYS:
            options.refuse("by", f'{self.by!r} is none of "process", "signal", "deadline"')
        options.seconds("each", "total", low=0.001, high=30 * 86_400)

    def check_together(self, options: Options) -> None:
        """Check options beside each other."""
        if self.each is None and self.total is None:
            options.refuse(
                "each", 'needs a duration, such as Timeout("2s") or Timeout(total="10s")'
            )

    @property
    def is_for_tasks(self) -> bool:
        """A limit of each attempt that says no way to stop plain functions refuses them."""
        return self.each is not None and self.by is None

    @property
    def position(self) -> int:
        """Each attempt's limit is inside of a retry, the total outside."""
        return 25 if self.each is None else 70

    def parts(self) -> tuple[Policy, ...]:
        """Give a time-out of each attempt and of the total, if it is both."""
        if self.each is None or self.total is None:
            return (self,)
        return (replace(self, each=None), replace(self, total=None))

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "TimeoutLayer":
        """Make the clockwork for one guarded name."""
        del chance
        is_each = self.each is not None
        return TimeoutLayer(name, clock, self.limit_s, is_each=is_each, by=self.by)

    @property
    def limit_s(self) -> float:
        """Tell the limit of a part, which has one, in seconds."""
        return float((self.total if self.each is None else self.each) or 0)


class TimeoutLayer:
    """One limit under one name. Safe to share between threads, tasks and event loops.

    Args:
        name: The guard's name, for errors.
        clock: For deadlines. Tasks are timed by their event loop, signals by the kernel.
        seconds: The limit.
        is_each: It limits each attempt; False for the total.
        by: How plain functions are stopped.
    """

    def __init__(
        self, name: str, clock: Clock, seconds: float, *, is_each: bool, by: str | None
    ) -> None:
        self.late = Lateness(name, clock)
        self._clock = clock
        self._now = clock.monotonic
        self.seconds = seconds
        self._is_each = is_each
        self._by = by
        self.lanes: Lanes | None = None

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, and stop it in the way that the policy says.

        Raises:
            ConfigError: If no way is said, or it does not work here.
        """
        if is_over(call):
            return call()
        if self._by == "process" and self._is_each:
            with self.begin() as seconds:
                return cast("T", self._in_process(call, seconds))
        if self._is_each and self._by is None:
            raise unstoppable(self.late.guard, "a plain function")
        with self.begin() as seconds:
            if self._by != "signal":
                return call()
            from resile.policies.alarms import interrupted_after

            return interrupted_after(seconds, call, late=self.late, clock=self._clock)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call`, and cancel it when its time is over."""
        if is_over(call):
            return await call()
        time = (self.lanes or self.load_lanes()).begin(self.seconds)
        try:
            return await call()
        except BaseException as error:
            time.fail(error)
            raise
        finally:
            time.leave()

    def inline(self) -> Inline:
        """Give the lines around a call; none for plain functions where something must stop them."""
        kind = "each" if self._is_each else "total"
        own, time = f"_resile_{kind}", f"_resile_{kind}_time"
        is_stopped = self._by == "signal" or (self._is_each and self._by != "deadline")
        lanes = f"({own}.lanes or {own}.load_lanes())"
        return Inline(
            kind=kind,
            names={own: self},
            around=None if is_stopped else Around(f"{time} = {own}.begin()", f"{time}.leave()"),
            async_around=Around(
                f"{time} = {lanes}.begin({own}.seconds)",
                f"{time}.leave()",
                f"{time}.fail(_resile_broken)",
            ),
        )

    def begin(self) -> Deadline:
        """Begin a deadline for a plain call.

        Raises:
            TimeoutExceededError: If there is no time.
        """
        return Deadline(self.late, self._now(), self.seconds)

    def hold(self) -> AbstractContextManager[object]:
        """Stop a block by cancellation in a task; elsewhere only give it a deadline.

        Raises:
            ConfigError: If the policy says that it is to be stopped.
        """
        if is_on_loop():
            return self._held()
        if self._by in ("signal", "process") or (self._is_each and self._by is None):
            raise unstoppable(self.late.guard, "a block")
        return self.begin()

    def adopt(self, policy: Policy, /) -> bool:
        """Take another limit of the same sort; calls that run keep theirs."""
        if not isinstance(policy, Timeout) or (policy.each is not None) is not self._is_each:
            return False
        self.seconds, self._by = policy.limit_s, policy.by
        return True

    def measures(self) -> tuple[Measure, ...]:
        """Give how many calls were stopped."""
        return (Measure("timeouts", self.late.count),)

    def _in_process(self, call: Callable[[], object], seconds: float) -> object:
        try:
            return call_in_process(guarded_call(call), seconds, self.late.guard)
        except TimeoutExceededError as error:
            if error.timeout_s == seconds:  # Else it is one of the call's own.
                self.late.add(seconds)
            raise

    @contextmanager
    def _held(self) -> Iterator[None]:
        time = (self.lanes or self.load_lanes()).begin(self.seconds)
        try:
            yield
        except BaseException as error:
            time.fail(error)
            raise
        finally:
            time.leave()

    def load_lanes(self) -> "Lanes":
        """Make the queues of tasks; the first call that is awaited loads asyncio."""
        from resile.policies.lanes import Lanes

        self.lanes = Lanes(self.late, self._clock)
        return self.lanes


def unstoppable(name: str, what: str) -> ConfigError:
    """Tell that nothing can stop what is guarded, and what to write instead."""
    return ConfigError(
        f"{name!r} is {what}, and nothing can stop a thread in which it runs",
        hint='write timeout=Timeout(..., by="process") for a function that can be pickled, by="signal" '
        'in the main thread, by="deadline" to hand the time to your client, or make it async',
    )
