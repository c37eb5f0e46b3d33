"""Any order of changes, snapshots, forgetting, collecting, copying, damage and repair keeps them all."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.support.storing import contents, flip_in, names_in

from resile.store import (
    Repository,
    collect,
    create,
    forget,
    mend_format,
    open_store,
    repair,
    replicate,
    take_snapshot,
    verify,
)
from resile.store.backends.memory import MemoryBackend
from resile.testing import FakeClock

MEMORY = Path("/dev/shm")
FOLDERS = ("", "d", "d/e")
NAMES = st.builds(
    lambda folder, name: f"{folder}/{name}", st.sampled_from(FOLDERS), st.sampled_from("abc")
)
CONTENTS = st.one_of(
    st.binary(max_size=50),
    st.builds(
        lambda byte, size: byte * size, st.sampled_from([b"x", b"y"]), st.integers(0, 300_000)
    ),
)


class StoreMachine(RuleBasedStateMachine):
    """The model: what each snapshot must hold, and what the folder holds now."""

    snapshots: Bundle[str] = Bundle("snapshots")

    @initialize(key=st.sampled_from([None, b"k" * 32]))
    def make(self, key: bytes | None) -> None:
        self.root = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.source = self.root / "source"
        (self.source / "d" / "e").mkdir(parents=True)
        self.key = key
        self.clock = FakeClock()
        self.backend, self.replica = MemoryBackend(clock=self.clock), MemoryBackend()
        self.now: dict[bytes, bytes] = {}
        self.model: dict[str, dict[bytes, bytes]] = {}
        self.is_copied = False
        self.tick = 0
        self.store: Repository = create(
            self.backend, cache=self.root / "one", key=key, clock=self.clock
        )

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: bytes) -> None:
        path = self.source / name.lstrip("/")
        path.write_bytes(content)
        # Two writes within one tick of the kernel's clock would have the same time, and the
        # store's clock is years ahead: it takes no file for young.
        self.tick += 1
        os.utime(path, ns=(0, self.tick))
        self.now[bytes(path.relative_to(self.source))] = content

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        path = self.source / name.lstrip("/")
        path.unlink(missing_ok=True)
        self.now.pop(bytes(path.relative_to(self.source)), None)

    @rule(seconds=st.integers(-5000, 100_000))
    def let_time_pass(self, seconds: int) -> None:
        """Or go back, as a clock may."""
        self.clock.jump(seconds)

    @rule(target=snapshots, is_partial=st.booleans())
    def snapshot(self, *, is_partial: bool) -> str:
        changed = frozenset(folder.encode() for folder in FOLDERS) if is_partial else None
        taken = take_snapshot(self.store, self.source, changed=changed).snapshot
        assert taken.unread == ()
        assert taken.counts.bytes == sum(map(len, self.now.values()))
        assert taken.counts.files == len(self.now)
        self.model[taken.snapshot_id] = dict(self.now)
        self.is_copied = False
        return taken.snapshot_id

    @rule(name=consumes(snapshots))
    def forget(self, name: str) -> None:
        forget(self.store, [self.store.find(name)])
        del self.model[name]

    @rule()
    def collect(self) -> None:
        collect(self.store, grace_s=0)
        assert collect(self.store, grace_s=0).removed == 0

    @rule()
    def copy(self) -> None:
        assert replicate(self.store, self.replica).flaws == ()
        self.is_copied = True

    @precondition(lambda self: self.is_copied and self.model)
    @rule()
    def copy_and_prune(self) -> None:
        replicate(self.store, self.replica, is_pruned=True)

    @precondition(lambda self: self.is_copied and self.model)
    @rule(which=st.integers(0, 1000), where=st.integers(0, 1 << 30), is_lost=st.booleans())
    def damage_and_repair(self, which: int, where: int, *, is_lost: bool) -> None:
        """Flip a bit of any file, or lose a pack or the file `format`."""
        names = sorted(names_in(self.backend))
        if is_lost:
            names = [name for name in names if name.startswith(("packs/", "format"))]
        name = names[which % len(names)]
        if is_lost:
            self.backend.remove(name)
        else:
            flip_in(self.backend, name, where % (8 * len(self.backend.read(name))))
        mend_format(self.backend, [self.replica])
        self.open_again("one")
        assert repair(self.store, replicas=[self.replica]).is_whole

    @rule(cache=st.sampled_from(["one", "two"]), is_gone=st.booleans())
    def open_elsewhere(self, cache: str, *, is_gone: bool) -> None:
        """On another machine, which has another catalog, or none any more."""
        if is_gone:
            self.store.close()
            shutil.rmtree(self.root / cache, ignore_errors=True)
        self.open_again(cache)

    @invariant()
    def holds_what_it_must(self) -> None:
        if hasattr(self, "store"):
            found = {
                one.snapshot_id: contents(self.store, one.root) for one in self.store.snapshots()
            }
            assert found == self.model

    def open_again(self, cache: str) -> None:
        self.store.close()
        self.store = open_store(
            self.backend, cache=self.root / cache, key=self.key, clock=self.clock
        )

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            found = verify(self.store, data=True)
            assert found.is_sound, found.flaws
        finally:
            self.store.close()
            shutil.rmtree(self.root)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, report_multiple_bugs=False
)
