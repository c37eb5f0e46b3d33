"""The keeper of breakers that processes of this machine share. It holds what they say, in memory.

A daemon that starts anew knows nothing: the processes connect again, and each whose breaker is open
says so.
"""

from collections.abc import Iterator
from typing import Any, Final

from resile.clients import wire
from resile.clients.sharing import Claim, Held, arbitrated, claim_from

NAMES_MAX: Final = 1000
_UNHELD = Held()


class Keeper:
    """What holds for each name, and who wants to know. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._wanted: dict[int, frozenset[str]] = {}

    def want(self, key: int, value: object) -> Iterator[str]:
        """Take the names that a process shares; give those that are new.

        Raises:
            WireError: If it is no list of names, or too many.
        """
        if not isinstance(value, list) or len(value) > wire.GUARDS_MAX:
            raise wire.WireError(f"the names are no list of at most {wire.GUARDS_MAX}")
        names = frozenset(wire.text_of(name) for name in value)
        before = self._wanted.get(key, frozenset())
        self._wanted[key] = names
        return iter(names - before)

    def drop(self, key: int) -> None:
        """Forget a process that is gone; what it said holds on."""
        self._wanted.pop(key, None)

    def claim(self, key: int, value: object, now_s: float) -> tuple[str, list[int]]:
        """Take a claim; give its name, and who has to be told what holds now.

        Raises:
            WireError: If it is none.
        """
        claim: Claim = claim_from(value)
        before = self._held.get(claim.name, _UNHELD)
        after = arbitrated(before, claim, str(key), now_s)
        if after is before:
            return claim.name, [key]
        self._held.pop(claim.name, None)
        self._held[claim.name] = after
        if len(self._held) > NAMES_MAX:
            del self._held[next(iter(self._held))]
        return claim.name, [other for other, names in self._wanted.items() if claim.name in names]

    def told(self, key: int, name: str, now_s: float) -> dict[str, Any]:
        """Give what holds for a name, as a process is told."""
        held = self._held.get(name, _UNHELD)
        return held.record(name, str(key), now_s)._asdict()
