"""Any order of calls on several transactions leaves what a plain model of them says."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resile.errors import ConflictError, TransactionError
from resile.store.transactions import FileTransaction, Savepoint, TransactionLog, TransactionStatus

NAMES = st.sampled_from(["a", "b", "c", "d/x", "d/y"])
WHICH = st.integers(0, 2)


class Machine(RuleBasedStateMachine):
    """The model: committed files, and of each open transaction what it wrote (None: deleted)."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        (self.folder / "tree/d").mkdir(parents=True)
        self.log = TransactionLog(self.folder / "tree", self.folder / "log")
        self.files: dict[str, bytes] = {}
        self.forget()

    def forget(self) -> None:
        self.open: dict[int, FileTransaction] = {}
        self.wrote: dict[int, dict[str, bytes | None]] = {}
        self.savepoints: dict[
            int, list[tuple[Savepoint, dict[str, bytes | None], frozenset[str]]]
        ] = {}
        self.claimed: dict[int, set[str]] = {}
        self.needs: dict[int, set[int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.folder)

    def one(self, which: int, *, depends_on: int | None = None) -> int:
        if which not in self.open:
            others = [self.open[depends_on]] if depends_on in self.open else []
            self.open[which] = self.log.begin(others)
            self.wrote[which], self.savepoints[which] = {}, []
            self.claimed[which] = set()
            self.needs[which] = {depends_on} if others and depends_on is not None else set()
        return which

    def now(self, path: str) -> bytes | None:
        for wrote in self.wrote.values():
            if path in wrote:
                return wrote[path]
        return self.files.get(path)

    def is_taken(self, which: int, path: str) -> bool:
        return any(path in paths for other, paths in self.claimed.items() if other != which)

    @rule(
        which=WHICH,
        path=NAMES,
        data=st.binary(max_size=9),
        kind=st.sampled_from(["create", "modify", "delete"]),
    )
    def change(self, which: int, path: str, data: bytes, kind: str) -> None:
        number = self.one(which)
        is_there = self.now(path) is not None
        arguments = (path,) if kind == "delete" else (path, data)
        try:
            getattr(self.open[number], kind)(*arguments)
        except ConflictError:
            assert self.is_taken(number, path)
        except TransactionError:
            assert not self.is_taken(number, path)
            assert is_there is (kind == "create")
            self.claimed[number].add(path)
        else:
            assert not self.is_taken(number, path)
            assert is_there is not (kind == "create")
            self.claimed[number].add(path)
            self.wrote[number][path] = None if kind == "delete" else data

    @rule(which=WHICH, other=WHICH)
    def begin_dependent(self, which: int, other: int) -> None:
        if which != other:
            self.one(which, depends_on=other)

    @rule(which=WHICH)
    def savepoint(self, which: int) -> None:
        number = self.one(which)
        savepoint = self.open[number].savepoint()
        self.savepoints[number].append((savepoint, dict(self.wrote[number]), frozenset(self.open)))

    @rule(which=WHICH, back=st.integers(0, 3))
    def rollback(self, which: int, back: int) -> None:
        number = self.one(which)
        if back >= len(self.savepoints[number]):
            return
        savepoint, wrote, _ = self.savepoints[number][back]
        self.open[number].rollback(savepoint)
        self.wrote[number] = dict(wrote)
        del self.savepoints[number][back + 1 :]
        self.drop_ended()

    @rule(which=WHICH)
    def commit(self, which: int) -> None:
        number = self.one(which)
        try:
            self.open[number].commit()
        except ConflictError:
            assert self.needs[number] & self.open.keys()
            return
        for path, data in self.wrote[number].items():
            if data is None:
                self.files.pop(path, None)
            else:
                self.files[path] = data
        self.drop(number)

    @rule(which=WHICH)
    def abort(self, which: int) -> None:
        number = self.one(which)
        self.open[number].abort()
        self.drop(number)
        self.drop_ended()

    @rule()
    def crash(self) -> None:
        self.log.close()
        self.log = TransactionLog(self.folder / "tree", self.folder / "log")
        assert self.log.recovered.hindered == {}
        self.forget()

    def drop(self, number: int) -> None:
        for table in (self.open, self.wrote, self.savepoints, self.claimed, self.needs):
            table.pop(number)
        for needs in self.needs.values():
            needs.discard(number)

    def drop_ended(self) -> None:
        for number, transaction in list(self.open.items()):
            if transaction.status is TransactionStatus.ABORTED:
                self.drop(number)

    @invariant()
    def folder_is_as_the_model(self) -> None:
        if not hasattr(self, "log"):
            return
        tree = self.folder / "tree"
        found = {
            str(path.relative_to(tree)): path.read_bytes()
            for path in tree.rglob("*")
            if path.is_file() and ".resile-tx-" not in str(path)
        }
        names = {"a", "b", "c", "d/x", "d/y"}
        assert found == {name: data for name in names if (data := self.now(name)) is not None}


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
