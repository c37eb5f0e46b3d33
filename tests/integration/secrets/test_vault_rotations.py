"""Rotations by the engine of what is in Vault: killed at any request, and disturbed by another tool."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.support.vault_kv import FakeKv, provider_of

from resile.core.process import Identity
from resile.core.vocabulary import RotationOutcome, RotationReason, SecretStage
from resile.errors import ProviderDownError, SecretConflictError
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.rotation import Book, RotationReport, Rotations
from resile.testing import FakeClock
from resile.testing.rotations import FakeRotator, FakeTarget

NAME = "app/db"


class Killed(BaseException):
    """The process ends here."""


class Processes:
    """Processes that rotate one secret, one after the other."""

    def __init__(self, provider: VaultProvider, clock: FakeClock, path: Path) -> None:
        self.target = FakeTarget()
        self.rotator = FakeRotator(self.target)
        self.provider = provider
        self._clock = clock
        self._path = path
        self._pid = 0
        self._stack = ExitStack()
        provider.write(NAME, self.target.first().encode(), token="first")

    def next(self) -> Rotations:
        """Give the rotations of a new process; those before it have died."""
        self._pid += 1
        me = Identity(boot_id="boot", pid=self._pid, start_ticks=self._pid)
        book = Book(
            self._path, clock=self._clock, me=me, lives=lambda holder: holder.pid == self._pid
        )
        self._stack.callback(book.close)
        made = Rotations(
            self.provider,
            {NAME: self.rotator},
            book=book,
            consumers=None,
            tell=lambda _: None,
            clock=self._clock,
            random=random.Random(0),
        )
        self._stack.callback(made.close)
        return made

    def rotate(self) -> RotationReport:
        return self.next().rotate(NAME, reason=RotationReason.MANUAL, who="ann")

    def stages(self) -> list[SecretStage]:
        found = (one.stage for one in self.provider.history(NAME))
        return [stage for stage in found if stage is not SecretStage.RETIRED]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def vault() -> FakeKv:
    return FakeKv(FakeClock())


@pytest.fixture
def processes(vault: FakeKv, tmp_path: Path) -> Iterator[Processes]:
    provider = provider_of(vault, tmp_path)
    made = Processes(provider, vault.clock, tmp_path / "rotations.db")
    yield made
    made.close()
    provider.close()


def test_rotations_in_a_row_leave_one_current_version(processes: Processes, vault: FakeKv) -> None:
    reports = [processes.rotate() for _ in range(5)]

    assert {one.outcome for one in reports} == {RotationOutcome.ROTATED}
    now = processes.provider.read(NAME)
    assert processes.target.opens(now)
    assert now.version == reports[-1].number
    assert processes.stages()[0] is SecretStage.CURRENT
    assert list(vault.kept) == [NAME]


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["not done", "done, answer lost"])
def test_rotation_that_is_killed_at_any_request_is_finished_by_the_next_process(
    processes: Processes, vault: FakeKv, is_answer_lost: bool
) -> None:
    vault.killed = Killed()
    for at in range(100):
        vault.was_cut = False
        vault.cut_from_now(at, is_answer_lost=is_answer_lost)
        with suppress(Killed):
            processes.rotate()
        vault.cut_at = -1
        assert processes.target.opens(processes.provider.read(NAME)), f"killed at {at}"

        processes.next().resume()

        assert processes.target.opens(processes.provider.read(NAME)), f"killed at {at}"
        assert processes.stages().count(SecretStage.CURRENT) == 1
        assert list(vault.kept) == [NAME]
        if not vault.was_cut:
            break

    assert 8 < at < 99


def test_version_of_another_tool_stays_the_current_one(processes: Processes, vault: FakeKv) -> None:
    def disturb(_: object) -> None:
        kept = vault.kept[NAME]
        kept.current += 1
        kept.versions[kept.current] = {"username": "blue", "password": "of another tool"}

    real = processes.rotator.verify
    processes.rotator.verify = lambda turn: (real(turn), disturb(turn))[0]  # type: ignore[method-assign]

    try:
        outcome = processes.rotate().outcome
    except SecretConflictError:
        outcome = RotationOutcome.ABORTED

    assert outcome is not RotationOutcome.ROTATED
    assert processes.provider.read(NAME).field("password") == "of another tool"


def test_server_that_goes_away_in_the_middle_leaves_what_is_current(
    processes: Processes, vault: FakeKv
) -> None:
    vault.cut_from_now(6, is_answer_lost=False)
    before = processes.provider.read(NAME)

    with suppress(ProviderDownError):
        processes.rotate()

    assert processes.target.opens(processes.provider.read(NAME))
    processes.next().resume()
    assert before != processes.provider.read(NAME)
