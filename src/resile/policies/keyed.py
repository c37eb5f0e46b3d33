"""One guard for each key, such as a host: the least recently used is forgotten."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

from resile.errors import ConfigError
from resile.policies.forks import RenewedLock
from resile.policies.layer import Measure, measures_of
from resile.policies.policy import Policy

if TYPE_CHECKING:
    from resile.policies.bound import Guard

_KEY_SHOWN_MAX = 100
"""Characters of a key that its guard's name shows: keys come from data."""
Function = TypeVar("Function", bound=Callable[..., object])
COUNTS: Final = frozenset(
    {
        *("attempts", "rejections", "timeouts", "opened", "fallbacks", "hedges", "cache"),
        *("retries", "recovered", "given_up", "budget_exhausted"),
    }
)
"""The families of measures that only grow: they go on to count those of keys that are forgotten."""
_ALIVE: Final[WeakSet["Keyed"]] = WeakSet()
_ALIVE_LOCK: Final = RenewedLock()


def keyed_guards(parents: "Iterable[Guard]") -> tuple["Keyed", ...]:
    """Give all that live and were made by `per` of some guards."""
    known = {id(parent) for parent in parents}
    with _ALIVE_LOCK:
        return tuple(keyed for keyed in _ALIVE if id(keyed.parent) in known)


class Keyed:
    """Guards of the same policies, one for each key. Safe to share between threads.

    Args:
        parent: Whose policies, name, clock and chance they have.
        key: Gives the key from the arguments of a call. It must be hashable.
        keys_max: How many it keeps, 1..1000000; the state of the least recently used goes.

    Raises:
        ConfigError: If key is not callable, or keys_max is out of range.
    """

    def __init__(self, parent: "Guard", key: Callable[..., Hashable], *, keys_max: int) -> None:
        if not callable(key):
            raise ConfigError(
                f"{key!r} finds no key",
                hint="give a function of the call's arguments, such as lambda host, *rest: host",
            )
        if not 1 <= keys_max <= 1_000_000:
            raise ConfigError(
                f"keys_max: {keys_max!r} is not in 1..1000000", hint="the default is 1000"
            )
        self.name = parent.name
        self.parent = parent
        self._key = key
        self._keys_max = keys_max
        self._lock = RenewedLock()
        self._guards: OrderedDict[Hashable, Guard] = OrderedDict()
        self._forgotten: Counter[tuple[str, str]] = Counter()
        with _ALIVE_LOCK:
            _ALIVE.add(self)

    @property
    def policy(self) -> Policy:
        """Tell the policies of the guards of all keys."""
        return self.parent.policy

    def __call__(self, function: Function, /) -> Function:
        """Guard a function by the guard of each call's key.

        Raises:
            ConfigError: If it cannot be guarded.
        """
        from resile.policies.forms import guarded

        return guarded(self, function)

    def __len__(self) -> int:
        return len(self._guards)

    def of(self, key: Hashable) -> "Guard":
        """Give the guard of a key; made when it is first asked for."""
        with self._lock:
            found = self._guards.get(key)
            if found is None:
                found = self._guards[key] = self.parent.twin(
                    f"{self.name}[{str(key)[:_KEY_SHOWN_MAX]}]"
                )
                if len(self._guards) > self._keys_max:
                    self._forget(self._guards.popitem(last=False)[1])
            else:
                self._guards.move_to_end(key)
            return found

    def guards(self) -> "tuple[Guard, ...]":
        """Give the guards of all keys, the least recently used first."""
        with self._lock:
            return tuple(self._guards.values())

    def notable(self, count: int) -> "list[Guard]":
        """Give some guards: first those with a breaker that is not plainly closed, then the latest."""
        guards = self.guards()[::-1]
        ordered = sorted(guards, key=lambda guard: not guard.is_gated)
        return ordered[:count]

    def change(self, policy: Policy) -> None:
        """Take other policies, for all keys."""
        for guard in self.guards():
            guard.change(policy)

    def measures(self) -> tuple[Measure, ...]:
        """Give the sums over all keys, and of what those that are forgotten had counted."""
        guards = self.guards()
        with self._lock:
            sums = Counter(self._forgotten)
        for guard in guards:
            for measure in measures_of(guard.layers):
                sums[measure.family, measure.label] += measure.value  # type: ignore[assignment]
        shown = (Measure(family, value, label) for (family, label), value in sums.items())
        return (Measure("keys", len(guards)), *shown)

    def _forget(self, guard: "Guard") -> None:
        """Keep what a guard has counted; the caller holds the lock."""
        for measure in measures_of(guard.layers):
            if measure.family in COUNTS:
                self._forgotten[measure.family, measure.label] += int(measure.value)

    def at(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Guard":
        """Give the guard for the arguments of a call."""
        return self.of(self._key(*args, **kwargs))
