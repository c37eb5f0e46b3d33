"""A file that guards follow, and a call that fails and counts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resile.errors import BreakerOpenError
from resile.policies.registry import REGISTRY
from resile.testing import FakeClock


def without_guards(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Let the registry of this process be as at its start, on a clock that is given back."""
    clock = FakeClock()
    for name in ("guards", "in_code", "sections"):
        monkeypatch.setattr(REGISTRY, f"_{name}", {})
    for name in ("follows", "refused"):
        monkeypatch.setattr(REGISTRY, f"_{name}", None)
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    return clock


def writer(folder: Path) -> Callable[[str], Path]:
    """Give what writes `resile.toml`, so that it differs from the one before whatever the clock says."""
    path = folder / "resile.toml"
    times = iter(range(1, 1000))

    def written(text: str) -> Path:
        path.write_text(text)
        os.utime(path, ns=(0, next(times)))
        return path

    return written


class Calls:
    """A function that fails, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        raise OSError


def attempts_of(function: Callable[[], object], calls: Calls) -> int:
    """Call once, and tell how many attempts were made."""
    calls.count = 0
    with pytest.raises((OSError, BreakerOpenError)):
        function()
    return calls.count
