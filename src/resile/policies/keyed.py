"""One guard for each key, such as a host: the least recently used is forgotten."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from resile.errors import ConfigError

if TYPE_CHECKING:
    from resile.policies.bound import Guard

_KEY_SHOWN_MAX = 100
"""Characters of a key that its guard's name shows: keys come from data."""
Function = TypeVar("Function", bound=Callable[..., object])


class Keyed:
    """Guards of the same policies, one for each key. Safe to share between threads.

    Args:
        parent: Whose policies, name, clock and chance they have.
        key: Gives the key from the arguments of a call. It must be hashable.
        keys_max: How many it keeps, 1..1000000; the state of the least recently used goes.

    Raises:
        ConfigError: If keys_max is out of range.
    """

    def __init__(self, parent: "Guard", key: Callable[..., Hashable], *, keys_max: int) -> None:
        if not 1 <= keys_max <= 1_000_000:
            raise ConfigError(f"keys_max: {keys_max!r} is not in 1..1000000")
        self.name = parent.name
        self._parent = parent
        self._key = key
        self._keys_max = keys_max
        self._lock = threading.Lock()
        self._guards: OrderedDict[Hashable, Guard] = OrderedDict()

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
                found = self._guards[key] = self._parent.twin(
                    f"{self.name}[{str(key)[:_KEY_SHOWN_MAX]}]"
                )
                if len(self._guards) > self._keys_max:
                    self._guards.popitem(last=False)
            else:
                self._guards.move_to_end(key)
            return found

    def at(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Guard":
        """Give the guard for the arguments of a call."""
        return self.of(self._key(*args, **kwargs))
