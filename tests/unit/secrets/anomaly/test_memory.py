"""What is kept of accesses: round trips, bounds, kills at any instant, full disks, and damage."""

import logging
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resile.errors import OperationError, SecretError
from resile.secrets.anomaly import memory as module
from resile.secrets.anomaly import schema
from resile.secrets.anomaly.memory import (
    COMMIT_AFTER_S,
    TRAITS_MAX,
    VERSIONS_MAX,
    AccessMemory,
    ClientRow,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SECONDS = st.floats(0, 4e9)
ROWS = st.builds(
    ClientRow,
    name=TEXTS,
    first_s=SECONDS,
    last_s=SECONDS,
    breadth=st.floats(0, 1e6),
    profile=st.binary(max_size=100),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "access.db"


@pytest.fixture
def memory(path: Path) -> Iterator[AccessMemory]:
    memory = AccessMemory(path)
    yield memory
    memory.close()


def row(name: str = "a", last_s: float = 0.0) -> ClientRow:
    return ClientRow(name=name, first_s=0.0, last_s=last_s, breadth=1.5, profile=b"p")


def filled(path: Path) -> None:
    """Make a file with something in each table."""
    memory = AccessMemory(path)
    memory.began_s(5.0)
    for number in range(20):
        memory.save_client(row(f"client-{number}", number))
        memory.add_trait(f"client-{number}", "uid", "0", 1.0)
        for version in range(3):
            memory.add_read(f"client-{number}", "db/password", str(version), 1.0, 2)
    memory.close()


def content(memory: AccessMemory) -> tuple[object, ...]:
    return (
        memory.began_s(0.0),
        memory.clients(),
        [memory.traits(one.name) for one in memory.clients()],
        sorted(memory.reads(limit=10_000), key=repr),
    )


# What cannot be opened -----------------------------------------------------------------------------


def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OperationError):
        AccessMemory(tmp_path / "file" / "access.db")


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SecretError, match="cannot be opened"):
        AccessMemory(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_is_held_by_somebody_else_is_refused_and_not_thrown_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_BUSY_WAIT_S", 0.01)
    filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")

    with pytest.raises(SecretError, match="locked"):
        AccessMemory(path)
    other.close()

    assert len(AccessMemory(path).clients()) == 20


def test_only_this_user_may_read_it(path: Path) -> None:
    memory = AccessMemory(path)
    memory.save_client(row())

    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    memory.close()

    assert set(modes.values()) == {0o600}
    assert set(modes) >= {"access.db", "access.db-wal"}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# Round trips and bounds ----------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.lists(ROWS, unique_by=lambda row: row.name, max_size=5),
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS, SECONDS, st.integers(1, 1000)), max_size=10),
)
def test_what_was_kept_is_there_again(
    tmp_path: Path, rows: list[ClientRow], reads: list[tuple[str, str, str, float, int]]
) -> None:
    path = tmp_path / "round" / "access.db"
    for one in (path, path.with_name("access.db-wal"), path.with_name("access.db-shm")):
        one.unlink(missing_ok=True)
    memory = AccessMemory(path)
    for one in rows:
        memory.save_client(one)
    for client, name, number, at_s, count in reads:
        memory.add_read(client, name, number, at_s, count)
        memory.add_trait(client, "program", name, at_s)
    before = content(memory)
    memory.close()

    memory = AccessMemory(path)
    after = content(memory)
    memory.close()

    assert after == before
    assert memory.take_loss() == ""
    assert set(after[1]) == set(rows)  # type: ignore[call-overload]


def test_the_beginning_is_kept(memory: AccessMemory) -> None:
    assert memory.began_s(5.0) == 5.0
    assert memory.began_s(9.0) == 5.0


def test_versions_of_a_secret_are_bounded(memory: AccessMemory) -> None:
    for number in range(VERSIONS_MAX * 3):
        memory.add_read("a", "db/password", str(number), number, 1)

    numbers = {int(read.version_number) for read in memory.reads()}

    assert numbers == set(range(VERSIONS_MAX * 2, VERSIONS_MAX * 3))


def test_traits_are_bounded(memory: AccessMemory) -> None:
    for number in range(TRAITS_MAX * 3):
        memory.add_trait("a", "program", str(number), number)

    assert len(memory.traits("a")["program"]) == TRAITS_MAX
    assert str(TRAITS_MAX * 3 - 1) in memory.traits("a")["program"]


def test_reads_are_bounded_and_retired_ones_go_first(
    memory: AccessMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READS_MAX", 1500)
    for number in range(1000):
        memory.add_read("a", f"secret-{number}", "1", number, 1)
    for number in range(500):
        memory.retire(f"secret-{number + 500}", "1")
    for number in range(1000):
        memory.add_read("b", f"secret-{number}", "1", 1000 + number, 1)

    reads = memory.reads(limit=10_000)

    assert len(reads) == 1350
    assert all(memory.has_read("a", f"secret-{number}") for number in range(350, 500))


def test_a_client_that_is_forgotten_leaves_nothing(memory: AccessMemory) -> None:
    memory.save_client(row())
    memory.add_trait("a", "uid", "0", 0.0)
    memory.add_read("a", "db/password", "1", 0.0, 1)

    memory.forget_client("a")

    assert memory.clients() == memory.reads() == ()
    assert memory.traits("a") == {}


# What survives -------------------------------------------------------------------------------------


def seen_by_others(path: Path) -> int:
    with sqlite3.connect(path) as other:
        (count,) = other.execute("select count(*) from read").fetchone()
    other.close()
    return int(count)


def test_writes_are_gathered_and_made_durable_some_seconds_apart(
    memory: AccessMemory, path: Path
) -> None:
    seen = []
    for second in range(10):
        memory.add_read("a", f"secret-{second}", "1", 1e9 + second, 1)
        memory.commit_if_due(1e9 + second)
        seen.append(seen_by_others(path))

    assert seen == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert COMMIT_AFTER_S == 2


def test_a_clock_that_is_set_back_does_not_stop_it(memory: AccessMemory, path: Path) -> None:
    for at_s in (1e9, 1e6):
        memory.add_read("a", str(at_s), "1", at_s, 1)
        memory.commit_if_due(at_s)

    assert seen_by_others(path) == 2


CHILD = """
    import sys
    from pathlib import Path
    from resile.secrets.anomaly.memory import AccessMemory, ClientRow

    memory = AccessMemory(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        memory.add_read("a", f"secret-{number}", "1", float(number), 1)
        memory.save_client(ClientRow(name="a", first_s=0.0, last_s=number, breadth=1.0, profile=b"p" * 999))
        if number % 20 == 0:
            memory.commit()
            print(number, flush=True)
"""


def test_a_killed_process_loses_only_what_was_not_durable(path: Path) -> None:
    chance = random.Random(path.name)
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(path)], stdout=subprocess.PIPE
        )
        durable = [int(child.stdout.readline()) for _ in range(chance.randrange(1, 30))][-1]  # type: ignore[union-attr]
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)

        memory = AccessMemory(path)
        kept = {int(read.name.partition("-")[2]) for read in memory.reads(limit=100_000)}
        memory.close()

        assert memory.take_loss() == ""
        assert kept >= set(range(1, durable + 1))


def test_a_closed_one_stays_closed(memory: AccessMemory) -> None:
    memory.close()
    memory.close()

    assert memory.is_closed
    with pytest.raises(sqlite3.ProgrammingError):
        memory.clients()


# What fails ----------------------------------------------------------------------------------------


def test_a_full_disk_refuses_nothing_and_is_logged_once(
    memory: AccessMemory, caplog: pytest.LogCaptureFixture
) -> None:
    (pages,) = memory._db.execute("pragma page_count").fetchone()
    memory._db.execute(f"pragma max_page_count = {pages}")

    with caplog.at_level(logging.WARNING):
        for number in range(500):
            memory.add_read("a", f"secret-{number}" * 20, "1", 0.0, 1)
    memory._db.execute("pragma max_page_count = 100000")
    memory.commit()
    memory.add_read("a", "after", "1", 0.0, 1)

    assert len(caplog.records) == 1
    assert "anomaly.memory_failed" in caplog.text
    assert memory.has_read("a", "after")
    assert memory.take_loss() == ""


def damaged_while_open(path: Path) -> AccessMemory:
    filled(path)
    memory = AccessMemory(path)
    memory._db.execute("pragma cache_size = 0")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    return memory


def test_damage_where_no_new_file_can_be_made_refuses_nothing(path: Path) -> None:
    memory = damaged_while_open(path)
    path.with_name("access.db.damaged").mkdir()

    for number in range(3):
        memory.add_read("a", f"secret-{number}", "1", 0.0, 1)
        memory.commit()

    assert "no new file" in memory.take_loss()
    assert memory.has_read("a", "secret-2")
    memory.close()


def test_damage_while_it_is_open_begins_anew(path: Path) -> None:
    memory = damaged_while_open(path)

    memory.add_read("a", "db/password", "1", 0.0, 1)
    memory.commit()
    memory.clients()

    assert "access.db.damaged" in memory.take_loss()
    memory.add_read("a", "db/password", "1", 0.0, 1)
    assert len(memory.reads()) == 1
    memory.close()


@pytest.mark.parametrize("change", ["pragma user_version = 99", "pragma application_id = 7"])
def test_another_format_is_put_aside(path: Path, change: str) -> None:
    filled(path)
    with sqlite3.connect(path) as other:
        other.execute(change)
    other.close()

    memory = AccessMemory(path)
    memory.close()

    assert "of another format" in memory.take_loss()
    assert path.with_name("access.db.damaged").exists()


def test_a_row_that_somebody_changed_is_found(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as other:
        other.execute("update read set is_open = 0 where client = 'client-7'")
    other.close()

    memory = AccessMemory(path)
    memory.close()

    assert "a row of read" in memory.take_loss()


class Good:
    """A file that is as it was written.

    Args:
        path: Where to write it.
    """

    def __init__(self, path: Path) -> None:
        filled(path)
        memory = AccessMemory(path)
        self.content = content(memory)
        memory.close()
        self.data = path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return Good(tmp_path_factory.mktemp("good") / "access.db")


def is_as_before_or_anew(path: Path, before: tuple[object, ...]) -> bool:
    memory = AccessMemory(path)
    try:
        lost = memory.take_loss()
        return not memory.clients() if lost else content(memory) == before
    finally:
        memory.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_found_or_harms_nothing(
    tmp_path: Path, good: Good, at: int, bit: int
) -> None:
    data = bytearray(good.data)
    data[at % len(data)] ^= 1 << bit
    (tmp_path / "access.db").write_bytes(data)

    assert is_as_before_or_anew(tmp_path / "access.db", good.content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(1))
def test_a_cut_file_is_found(tmp_path: Path, good: Good, size: int) -> None:
    (tmp_path / "access.db").write_bytes(good.data[: size % len(good.data)])

    memory = AccessMemory(tmp_path / "access.db")
    memory.close()

    assert memory.take_loss() != "" or not size % len(good.data)


def test_rubbish_is_found(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(random.Random(5).randbytes(50_000))

    memory = AccessMemory(path)
    memory.close()

    assert "not a database" in memory.take_loss()
