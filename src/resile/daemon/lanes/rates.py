"""Divides limits that processes of this machine share: by what each calls."""

from collections.abc import Iterator
from typing import NamedTuple

from resile.clients import wire
from resile.clients.sharing import shares

CHANGE_MIN = 0.05
"""Of a part: less is not worth a word."""
DEMANDS_MAX = 5000
"""Of all processes together: each word of one is weighed against those of the others."""


class Part(NamedTuple):
    """What one process is told: of which limit it has which part now."""

    key: int
    name: str
    share: float


class Divider:
    """Who calls how much of what. Not thread-safe."""

    def __init__(self) -> None:
        self._demands: dict[str, dict[int, float]] = {}
        self._told: dict[tuple[int, str], float] = {}

    def put(self, key: int, value: object) -> list[Part]:
        """Take what one process calls of its limits; give who has to be told what.

        Raises:
            WireError: If it is no table of numbers, or too large.
        """
        if not isinstance(value, dict) or len(value) > wire.GUARDS_MAX:
            raise wire.WireError(f"the demands are no table of at most {wire.GUARDS_MAX}")
        demands = {wire.text_of(name): wire.number_of(one) for name, one in value.items()}
        others = sum(len(by_key) - (key in by_key) for by_key in self._demands.values())
        if others + len(demands) > DEMANDS_MAX:
            raise wire.WireError(f"there are {DEMANDS_MAX} demands already")
        gone = [
            name for name, by_key in self._demands.items() if key in by_key and name not in demands
        ]
        for name in gone:
            self._forget(key, name)
        for name, demand in demands.items():
            self._demands.setdefault(name, {})[key] = demand
        return [part for name in (*gone, *demands) for part in self._parts(name)]

    def drop(self, key: int) -> list[Part]:
        """Forget a process that is gone; give who has to be told what."""
        names = [name for name, by_key in self._demands.items() if key in by_key]
        for name in names:
            self._forget(key, name)
        return [part for name in names for part in self._parts(name)]

    def _forget(self, key: int, name: str) -> None:
        self._told.pop((key, name), None)
        del self._demands[name][key]
        if not self._demands[name]:
            del self._demands[name]

    def _parts(self, name: str) -> Iterator[Part]:
        for key, share in shares(self._demands.get(name, {})).items():
            told = self._told.get((key, name), 0.0)
            if abs(share - told) > CHANGE_MIN * share:
                self._told[key, name] = share
                yield Part(key, name, share)
