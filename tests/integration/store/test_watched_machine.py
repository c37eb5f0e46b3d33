"""Whatever is done to a watched folder, a look at what was told gives what a look at everything gives."""

import random
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.storing import made

from resile.core.clock import SYSTEM_CLOCK
from resile.core.kernel import exchange
from resile.store import Repository, Watch, take_snapshot
from resile.store.backends.local import LocalBackend
from resile.testing.clock import FakeClock

SEEDS = range(12)
ROUNDS = 8
OPERATIONS_MAX = 10
COPIED_MAX = 20
NAMES = ("a", "b", "c")


TOMORROW = FakeClock(SYSTEM_CLOCK.now() + timedelta(days=1))
"""To whom nothing is so young that it is looked at again in any case, whatever was told."""
TICK_S = 0.012
"""Between two rounds the kernel's clock for files moves on, so that a change shows in the times."""


class Hand:
    """Changes a folder at random, mostly where something is already: few names, so that they are used again."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self._chance = chance
        self.done: list[str] = []

    def change(self) -> None:
        path, other = self._path(), self._path()
        what = self._chance.choice(
            (
                "write",
                "write",
                "folder",
                "folders",
                "move",
                "move",
                "remove",
                "mode",
                "copy",
                "swap",
                "exchange",
            )
        )
        self.done.append(f"{what} {path.relative_to(self.root)} {other.relative_to(self.root)}")
        try:
            self._do(what, path, other)
        except OSError:
            self.done[-1] += " (refused)"

    def _do(self, what: str, path: Path, other: Path) -> None:
        if what == "write":
            path.write_bytes(self._chance.randbytes(self._chance.randrange(50)))
        elif what == "folder":
            path.mkdir()
        elif what == "folders":
            (path / "a" / "b").mkdir(parents=True)
            (path / "a" / "b" / "c").write_bytes(b"x")
        elif what == "move":
            path.rename(other)
        elif what == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif what == "mode":
            path.chmod(self._chance.choice((0o700, 0o750, 0o755)))
        elif what == "copy":
            if len(list(path.rglob("*"))) > COPIED_MAX:
                return
            aside = self.root.with_name("aside")
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(path, aside)
            aside.rename(other)
        elif what == "exchange":
            exchange(-1, str(path), -1, str(other))
        else:
            between = self.root / "between"
            path.rename(between)
            other.rename(path)
            between.rename(other)

    def _path(self) -> Path:
        there = sorted(self.root.rglob("*"))
        folder = self.root
        if there and self._chance.random() < 0.7:
            folder = self._chance.choice(there)
            if self._chance.random() < 0.5:
                return folder
        return folder / self._chance.choice(NAMES)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Repository, Repository]]:
    with (
        made(LocalBackend(tmp_path / "one"), tmp_path / "cache-one", clock=TOMORROW) as one,
        made(LocalBackend(tmp_path / "two"), tmp_path / "cache-two") as two,
    ):
        yield one, two


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_told_is_all_that_changed(
    stores: tuple[Repository, Repository], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    root = tmp_path / "source"
    root.mkdir()
    hand, watch = Hand(root, chance), Watch(root)
    told, whole = stores
    partial = 0
    for _ in range(ROUNDS):
        for _ in range(chance.randrange(OPERATIONS_MAX)):
            hand.change()
            if chance.random() < 0.2:
                watch.drain()
        time.sleep(TICK_S)
        TOMORROW.advance(1)
        changed = watch.take()
        partial += changed is not None

        reuse_within_s = chance.choice((0.0, 60.0))
        seen = take_snapshot(told, root, changed=changed, reuse_within_s=reuse_within_s).snapshot
        every = take_snapshot(whole, root).snapshot

        assert seen.root.tree == every.root.tree, (seed, changed, hand.done)
        assert (seen.counts.files, seen.counts.folders, seen.counts.bytes) == (
            every.counts.files,
            every.counts.folders,
            every.counts.bytes,
        ), (seed, changed, hand.done)
    assert partial == ROUNDS - 1
    watch.close()
