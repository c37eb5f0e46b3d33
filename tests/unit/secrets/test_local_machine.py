"""A local store and the one in memory do what a plain model does, whatever is asked of them."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.secret_providers import local_provider

from resile.core.vocabulary import SecretStage
from resile.errors import (
    SecretConflictError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import WritableProvider
from resile.testing.secrets import FakeProvider

NAMES = st.sampled_from(("a", "b/c"))
VALUES = st.sampled_from((b"x", b"y", b"\xff" * 5000))
TOKENS = st.sampled_from(("t1", "t2", "t3", "t4"))
EXPECTS = st.sampled_from((None, "", "1", "2", "3", "4", "5"))
VERSIONS = st.sampled_from(("current", "previous", "pending", "1", "2", "3", "9"))
MEMORY = Path("/dev/shm")


@dataclass
class Row:
    number: int
    stage: str
    token: str
    value: bytes | None


class Model:
    """What the port says, as plainly as it can be written: lists of rows that are searched through."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.last: dict[str, int] = {}

    def of(self, name: str, **wanted: object) -> Row | None:
        found = [
            row
            for row in self.rows.get(name, [])
            if all(getattr(row, key) == value for key, value in wanted.items())
        ]
        return found[-1] if found else None

    def find(self, name: str, version: str) -> Row:
        if version in ("current", "previous", "pending"):
            row = self.of(name, stage=version)
            if row is None and version != "pending" and self.of(name, stage="retired"):
                raise SecretRevokedError("")
        else:
            row = self.of(name, number=int(version))
        if row is None:
            raise UnknownSecretError("")
        return row

    def read(self, name: str, version: str) -> tuple[str, str, bytes]:
        row = self.find(name, version)
        if row.value is None:
            raise SecretRevokedError("")
        return str(row.number), row.stage, row.value

    def need_current(self, name: str, expect: str | None) -> None:
        current = self.of(name, stage="current")
        if expect is not None and expect != (str(current.number) if current else ""):
            raise SecretConflictError("")

    def make_current(self, name: str, row: Row) -> None:
        previous, current = self.of(name, stage="previous"), self.of(name, stage="current")
        if previous:
            previous.stage, previous.value = "retired", None
        if current:
            current.stage = "previous"
        row.stage = "current"

    def write(
        self, name: str, value: bytes, stage: str, expect: str | None, token: str
    ) -> tuple[str, str]:
        mine = self.of(name, token=token)
        if mine and not (mine.stage == "pending" and stage == "current"):
            if mine.value in (None, value):
                return str(mine.number), mine.stage
            if mine.stage != "pending":
                raise SecretConflictError("")
        elif mine or (stage == "pending" and self.of(name, stage="pending")):
            raise SecretConflictError("")
        self.need_current(name, expect)
        rows = self.rows.setdefault(name, [])
        if mine:
            rows.remove(mine)
        self.last[name] = self.last.get(name, 0) + 1
        row = Row(self.last[name], "pending", token, value)
        if stage == "current":
            self.make_current(name, row)
        rows.append(row)
        return str(row.number), row.stage

    def promote(self, name: str, token: str, expect: str | None) -> tuple[str, str]:
        row = self.of(name, token=token)
        if row is None:
            raise UnknownSecretError("")
        if row.stage == "pending":
            self.need_current(name, expect)
            self.make_current(name, row)
        return str(row.number), row.stage

    def discard(self, name: str, token: str) -> None:
        row = self.of(name, token=token, stage="pending")
        if row:
            self.rows[name].remove(row)

    def destroy(self, name: str, version: str) -> None:
        try:
            row = self.find(name, version)
        except SecretRevokedError:
            return
        if row.stage == "pending":
            row.token = ""
        row.stage, row.value = "retired", None

    def history(self, name: str) -> list[tuple[str, str, str]]:
        rows = sorted(self.rows.get(name, []), key=lambda row: -row.number)
        if not rows:
            raise UnknownSecretError("")
        return [(str(row.number), row.stage, row.token) for row in rows]


def answer(use: Callable[[], object]) -> object:
    try:
        return use()
    except SecretError as exc:
        return type(exc)


class Stores(RuleBasedStateMachine):
    @initialize()
    def begin_empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.model = Model()
        self.local = local_provider(self.folder)
        self.all: tuple[WritableProvider, ...] = (self.local, FakeProvider())

    def agree(self, ask: Callable[[WritableProvider], object], told: Callable[[], object]) -> None:
        expected = answer(told)
        assert [answer(lambda one=one: ask(one)) for one in self.all] == [expected] * 2

    @rule(
        name=NAMES,
        value=VALUES,
        stage=st.sampled_from((SecretStage.CURRENT, SecretStage.PENDING)),
        expect=EXPECTS,
        token=TOKENS,
    )
    def write(
        self, name: str, value: bytes, stage: SecretStage, expect: str | None, token: str
    ) -> None:
        def ask(one: WritableProvider) -> tuple[str, str]:
            version = one.write(name, value, stage=stage, expect=expect, token=token)
            return version.number, version.stage.value

        self.agree(ask, lambda: self.model.write(name, value, stage.value, expect, token))

    @rule(name=NAMES, expect=EXPECTS, token=TOKENS)
    def promote(self, name: str, expect: str | None, token: str) -> None:
        def ask(one: WritableProvider) -> tuple[str, str]:
            version = one.promote(name, token=token, expect=expect)
            return version.number, version.stage.value

        self.agree(ask, lambda: self.model.promote(name, token, expect))

    @rule(name=NAMES, token=TOKENS)
    def discard(self, name: str, token: str) -> None:
        self.agree(
            lambda one: one.discard(name, token=token), lambda: self.model.discard(name, token)
        )

    @rule(name=NAMES, version=VERSIONS)
    def destroy(self, name: str, version: str) -> None:
        self.agree(
            lambda one: one.destroy(name, version), lambda: self.model.destroy(name, version)
        )

    @rule(name=NAMES, version=VERSIONS)
    def read(self, name: str, version: str) -> None:
        def ask(one: WritableProvider) -> tuple[str, str, bytes]:
            secret = one.read(name, version=version)
            return secret.version, secret.stage.value, secret.reveal_bytes()

        self.agree(ask, lambda: self.model.read(name, version))

    @rule()
    def open_again(self) -> None:
        self.local.close()
        self.local = local_provider(self.folder)
        self.all = (self.local, *self.all[1:])

    @rule()
    def rekey(self) -> None:
        alive = sum(row.value is not None for rows in self.model.rows.values() for row in rows)

        assert self.local.rekey() == alive

    @invariant()
    def histories_agree(self) -> None:
        for name in ("a", "b/c"):
            self.agree(
                lambda one, name=name: [
                    (v.number, v.stage.value, v.token) for v in one.history(name)
                ],
                lambda name=name: self.model.history(name),
            )
        names = tuple(sorted(name for name, rows in self.model.rows.items() if rows))
        assert [one.names() for one in self.all] == [names] * 2

    def teardown(self) -> None:
        if hasattr(self, "local"):
            self.local.examine()
            sealed = "select count(sealed_key), count(sealed_value) from versions"
            with sqlite3.connect(self.folder / "secrets.db") as sql:
                counts = sql.execute(sealed).fetchone()
            sql.close()
            values = [row.value for rows in self.model.rows.values() for row in rows]
            assert counts == (len(values) - values.count(None),) * 2
            self.local.close()
            shutil.rmtree(self.folder)


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
