"""A folder and the memory do the same, whatever is asked of them in whatever order."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from resile.errors import StoreDamagedError
from resile.store.backends import Backend, Upload
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend

FOLDERS = ("", "packs", "marks", "quarantine")
NAMES = st.sampled_from(("format", "packs/a", "packs/b", "marks/a", "quarantine/a", "../x"))
PIECES = st.binary(max_size=64) | st.just(b"x" * ((1 << 20) + 7))
Pair = tuple[Upload, Upload]


def answer(use: Callable[[], object]) -> object:
    """Give what it answers, or the class and the name of the error."""
    try:
        return use()
    except StoreDamagedError as exc:
        return type(exc), exc.name


class BothBackends(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    @initialize()
    def begin_empty(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="resile-test-")
        self.both: tuple[Backend, Backend] = (
            LocalBackend(Path(self.folder.name) / "store"),
            MemoryBackend(),
        )
        self.open: list[Pair] = []

    @rule(target=uploads)
    def begin(self) -> Pair:
        pair = (self.both[0].begin(), self.both[1].begin())
        self.open.append(pair)
        return pair

    @rule(pair=uploads, piece=PIECES)
    def write(self, pair: Pair, piece: bytes) -> None:
        for upload in pair:
            upload.write(piece)

    @rule(pair=consumes(uploads), name=NAMES.filter(lambda name: name != "../x"))
    def publish(self, pair: Pair, name: str) -> None:
        assert pair[0].publish(name) == pair[1].publish(name)

    @rule(pair=uploads)
    def publish_badly(self, pair: Pair) -> None:
        assert answer(lambda: pair[0].publish("../x")) == answer(lambda: pair[1].publish("../x"))

    @rule(pair=consumes(uploads))
    def abandon(self, pair: Pair) -> None:
        for upload in pair:
            upload.abandon()
            upload.abandon()

    @rule(name=NAMES, offset=st.integers(0, 100), length=st.none() | st.integers(0, 100))
    def read(self, name: str, offset: int, length: int | None) -> None:
        local, memory = (answer(lambda b=b: b.read(name, offset, length)) for b in self.both)
        assert local == memory

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        local, memory = (answer(lambda b=b: b.remove(name)) for b in self.both)
        assert local == memory

    @rule(before=NAMES, after=NAMES)
    def move(self, before: str, after: str) -> None:
        local, memory = (answer(lambda b=b: b.move(before, after)) for b in self.both)
        assert local == memory

    @rule()
    def sweep(self) -> None:
        assert [backend.sweep() for backend in self.both] == [0, 0]

    @rule()
    def open_anew(self) -> None:
        """What another process sees is what this one saw."""
        self.both = (LocalBackend(Path(self.folder.name) / "store"), self.both[1])

    @invariant()
    def both_hold_the_same(self) -> None:
        for folder in FOLDERS:
            local, memory = (
                {(f.name, f.size_bytes, b.read(f.name)) for f in b.list(folder)} for b in self.both
            )
            assert local == memory

    def teardown(self) -> None:
        for pair in getattr(self, "open", ()):
            for upload in pair:
                upload.abandon()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestBothBackends = BothBackends.TestCase
TestBothBackends.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
