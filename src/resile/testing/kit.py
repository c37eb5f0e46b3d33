"""Test code that uses policies: no waits, forced outcomes, and assertions about what happened."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from resile.core.units import parse_duration
from resile.errors import ConfigError
from resile.policies.bound import Guard
from resile.policies.breaker import CLOSED, OPEN, BreakerState
from resile.policies.breaking import BreakerLayer
from resile.policies.keyed import Keyed
from resile.policies.layer import Layer
from resile.policies.presets import nearest
from resile.policies.registry import REGISTRY
from resile.policies.retrying import RetryLayer
from resile.testing.adopting import Adopted, Adoption, guard_of
from resile.testing.scripts import UNTOUCHED, Forced, Script
from resile.testing.virtual import VirtualClock, virtual_time

Guarded = str | Guard | Keyed | Callable[..., object]
"""Which guard is meant: its name, itself, or a function that it guards."""


@contextmanager
def policies(*, attempts: int | None = None, disabled: bool = False) -> Iterator["PolicyKit"]:
    """Run guarded code without waits inside: on a virtual clock, with a fresh state of all guards.

    It works for guards that were made before, such as at import; at the end all is as it was.
    Retries wait in no time, breakers and budgets begin anew, jitter is the same in each run, and
    `Timeout(by="process")` calls in this process. Who waits for somebody else (in a bulkhead's
    queue) waits in no time too: use `resile.testing.simulate` for calls at once. Not thread-safe:
    one at a time in a process.

    Args:
        attempts: All retries make so many attempts at most, 1..1000. Default None: as they say.
        disabled: True to call functions as if there were no policies.

    Raises:
        ConfigError: If `attempts` is out of range.
    """
    with virtual_time() as virtual, ExitStack() as undo:
        kit = PolicyKit(virtual, undo)
        if attempts is not None:
            kit.limit_attempts(attempts)
        if disabled:
            kit.disable()
        yield kit


class PolicyKit:
    """What a test does to guards, and asks of them; `policies()` gives it. Not thread-safe.

    A guard is named by its name, by itself, or by a function that it guards. Guards of keys share
    what is forced for their parent; ask for the state of one by `name[key]`.

    Args:
        virtual: The clock of the test.
        undo: Gets all that is to be done at the end.
    """

    def __init__(self, virtual: VirtualClock, undo: ExitStack) -> None:
        self._virtual = virtual
        self._scripts: dict[str, Script] = {}
        self._changes: list[Callable[[Adopted], None]] = []
        self._adoption = Adoption(self._script_of, self._welcome, undo)
        for guard in REGISTRY.guards():
            self._adoption.of(guard)

    def fail(
        self,
        which: Guarded,
        times: int | None = 1,
        *,
        error: BaseException | type[BaseException] = ConnectionError,
    ) -> None:
        """Have the next attempts fail; the guarded function is not called.

        An attempt at a block (`with`) fails as it begins.

        Args:
            which: The guard.
            times: How many, 0..100000; None for all that come after what is forced already.
            error: An error, or a class that is made anew for each.
        """
        self._script(which).add(Forced(error=error), times)

    def give(self, which: Guarded, result: object, times: int | None = 1) -> None:
        """Have the next attempts give a result; the guarded function is not called."""
        self._script(which).add(Forced(result=result), times)

    def delay(
        self,
        which: Guarded,
        latency: float | str,
        times: int | None = 1,
        *,
        result: object = UNTOUCHED,
    ) -> None:
        """Have the next attempts take so long, in virtual time, before they go on.

        Args:
            which: The guard.
            latency: Seconds, or such as "5s".
            times: How many; None for all that come after what is forced already.
            result: Given in place of the call. Default: the function is called.
        """
        seconds = parse_duration(latency)
        self._script(which).add(Forced(latency_s=seconds, result=result), times)

    def clear(self, which: Guarded) -> None:
        """Force nothing any more."""
        self._script(which).clear()

    def advance(self, duration: float | str) -> None:
        """Let time pass, in seconds or as "31s"."""
        self._virtual.advance(parse_duration(duration))

    @property
    def slept_s(self) -> float:
        """Tell the seconds that guarded code would have waited until now."""
        return self._virtual.slept_s

    def limit_attempts(self, attempts: int, *which: Guarded) -> None:
        """Have retries make so many attempts at most; of all guards if none is named.

        Raises:
            ConfigError: If it is out of range.
        """

        def limited(layer: Layer) -> Layer:
            if not isinstance(layer, RetryLayer):
                return layer
            policy = replace(layer.policy, attempts=attempts)
            return policy.layer(layer.name, layer.clock, layer.decision.chance)

        def change(adopted: Adopted) -> None:
            self._adoption.change(adopted, map(limited, adopted.inner))

        self._apply(change, which)

    def disable(self, *which: Guarded) -> None:
        """Have functions called as if there were no policies; those of all guards by default."""

        def change(adopted: Adopted) -> None:
            for breaker in _breakers(adopted.inner):
                breaker.disable(why="a test")
            self._adoption.change(adopted, ())

        self._apply(change, which)

    def breaker(self, which: Guarded) -> BreakerLayer:
        """Give the breaker of a guard.

        Raises:
            ConfigError: If it has none.
        """
        for adopted in self._adopted(which):
            for breaker in _breakers(adopted.inner):
                return breaker
        raise ConfigError(f"the guard {_written(which)} has no breaker")

    def state(self, which: Guarded) -> BreakerState:
        """Tell the state of a guard's breaker: `resile.CLOSED`, `OPEN` or `HALF_OPEN`."""
        return self.breaker(which).state

    def attempts(self, which: Guarded) -> int:
        """Tell the attempts that came through the policies to the function, or to what is forced."""
        return self._script(which).attempts

    def assert_attempts(self, which: Guarded, count: int) -> None:
        """Assert how many attempts there were.

        Raises:
            AssertionError: If there were more or less.
        """
        made = self.attempts(which)
        if made != count:
            raise AssertionError(f"{_written(which)}: {made} attempts were made, not {count}")

    def assert_opened(self, which: Guarded, times: int = 1) -> None:
        """Assert how often the breaker opened since the beginning of the test.

        Raises:
            AssertionError: If it was more or less often.
        """
        self._assert_count(which, "opened", times)

    def assert_rejected(self, which: Guarded, times: int = 1) -> None:
        """Assert how many calls the breaker rejected.

        Raises:
            AssertionError: If there were more or less.
        """
        self._assert_count(which, "rejected", times)

    def assert_open(self, which: Guarded) -> None:
        """Assert that the breaker is open now.

        Raises:
            AssertionError: If it is not.
        """
        self._assert_state(which, OPEN)

    def assert_closed(self, which: Guarded) -> None:
        """Assert that the breaker is closed now.

        Raises:
            AssertionError: If it is not.
        """
        self._assert_state(which, CLOSED)

    def _assert_state(self, which: Guarded, wanted: BreakerState) -> None:
        breaker = self.breaker(which)
        if breaker.state is not wanted:
            why = breaker.changes[-1].why if breaker.changes else "it never changed"
            raise AssertionError(
                f"{_written(which)}: the breaker is {breaker.state}, not {wanted}: {why}"
            )

    def _assert_count(self, which: Guarded, what: str, times: int) -> None:
        seen = getattr(self.breaker(which).counts, what)
        if seen != times:
            raise AssertionError(f"{_written(which)}: {what} {seen} times, not {times}")

    def _apply(self, change: Callable[[Adopted], None], which: tuple[Guarded, ...]) -> None:
        if not which:
            self._changes.append(change)
        found = [one for each in which for one in self._adopted(each)]
        for adopted in found if which else self._adoption.guards():
            change(adopted)

    def _welcome(self, adopted: Adopted) -> None:
        for change in self._changes:
            change(adopted)

    def _script(self, which: Guarded) -> Script:
        return self._script_of(self._name(which))

    def _script_of(self, name: str) -> Script:
        base = name.partition("[")[0]
        return self._scripts.setdefault(base, Script(self._virtual))

    def _name(self, which: Guarded) -> str:
        if isinstance(which, str):
            return self._adopted(which)[0].guard.name
        return str(_guard(which).name)

    def _adopted(self, which: Guarded) -> list[Adopted]:
        """Give the guards that are meant, and those of their keys.

        Raises:
            ConfigError: If there is none; the nearest name is shown.
        """
        if not isinstance(which, str):
            guard = _guard(which)
            if isinstance(guard, Guard):
                return [self._adoption.of(guard)]
            which = guard.name
        named = {guard.name: self._adoption.of(guard) for guard in REGISTRY.guards()}
        if which in named:
            return [named[which]]
        known = self._adoption.guards()
        found = [one for one in known if _is_named(one, which)]
        if not found:
            names = {one.guard.name for one in known}
            raise ConfigError(f"there is no guard {which!r}", hint=nearest(which, names))
        return found


def _guard(which: object) -> Guard | Keyed:
    """Give the guard of a function, or itself.

    Raises:
        ConfigError: If there is none.
    """
    guard = which if isinstance(which, Guard | Keyed) else guard_of(which)
    if isinstance(guard, Guard | Keyed):
        return guard
    raise ConfigError(f"{which!r} is not guarded", hint="name the guard, or decorate it")


def _is_named(adopted: Adopted, name: str) -> bool:
    return adopted.guard.name == name or adopted.guard.name.startswith(f"{name}[")


def _breakers(layers: Iterable[Layer]) -> list[BreakerLayer]:
    return [layer for layer in layers if isinstance(layer, BreakerLayer)]


def _written(which: Any) -> str:
    return repr(getattr(which, "name", None) or getattr(which, "__qualname__", None) or which)
