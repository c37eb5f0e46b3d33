"""A real secretkeeper with the local provider; the test is its brain."""

import contextlib
import os
import signal
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.keeper_process import KeeperProcess, keeper
from tests.support.keeper_wire import DEADLINE_S

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import SwitchSet
from resile.core.switch_file import write_switches
from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.daemon.secretkeeper.consumers import FORGOTTEN

NAME = "db/password"
VALUE = "sesame-4f1c0a9b7e"
TOML = f"""
[service.web]
command = ["true"]
[secret."{NAME}"]
services = ["web"]
rotator = {{ kind = "random" }}
deadline = "500ms"
[secret.bait]
canary = true
"""


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[KeeperProcess]:
    with keeper(tmp_path, TOML) as made:
        made.wait_born(1)
        yield made


def test_wrong_master_key_is_told_and_nothing_is_given_until_it_is_right(
    sut: KeeperProcess,
) -> None:
    key = sut.state / "secrets" / "master.key"
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
    right = key.read_bytes()
    sut.kill()
    key.write_text("0" * 64 + "\n")
    sut.start()

    with sut.connect() as wire:
        assert wire.refusal("read", name=NAME) == "SecretKeyError"
    sut.wait("told", lambda: sut.recorded("provider.lost"))
    sut.wait("shown", lambda: not sut.status["provider"]["is_well"])

    key.write_bytes(right)
    sut.wait("found", lambda: sut.recorded("provider.found"))
    with sut.connect() as wire:
        assert wire.value(NAME) == VALUE


def test_damaged_book_of_rotations_is_told_and_values_are_given_all_the_same(
    sut: KeeperProcess,
) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
    sut.kill()
    with contextlib.closing(sqlite3.connect(sut.state / "secrets" / "rotations.db")) as book, book:
        book.execute("update rotation set checksum = x'00'")
    sut.start()

    sut.wait("told", lambda: sut.recorded("provider.lost"))
    sut.wait("shown", lambda: "the rotation book" in sut.status["provider"]["reason"])
    assert not sut.status["provider"]["is_well"]
    with sut.connect() as wire:
        assert wire.value(NAME) == VALUE
        findings = wire.ask("doctor")["findings"]
    assert "the rotation book" in findings[0]["message"]


def test_canary_is_given_to_nobody_and_who_asks_is_cut_off_for_good(sut: KeeperProcess) -> None:
    """What it had read is rotated as compromised, and a restart forgets nothing of it."""
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.put("bait", "a trap")
        assert wire.value(NAME) == VALUE

        assert wire.refusal("read", name="bait") == "SecretDeniedError"

        (cut,) = sut.recorded("client.quarantined")
        assert wire.refusal("read", name=NAME) == "SecretDeniedError"
    sut.kill()  # It may have rotated nothing yet.
    (odd,) = sut.recorded("secret.anomaly")
    assert (odd["response"], odd["signals"]) == ("quarantine", ["canary"])
    accessed = [(one["name"], one["outcome"]) for one in sut.recorded("secret.accessed")]
    assert ("bait", "given") not in accessed

    sut.start()
    sut.wait("rotated", lambda: sut.recorded("rotation.ended"))
    assert sut.recorded("rotation.begun")[0]["reason"] == "compromise"
    with sut.connect() as wire:
        assert wire.refusal("names") == "SecretDeniedError"
        answer = sut.page(1, "release", client=cut["client"])
        assert "error" not in answer
        assert wire.value(NAME) != VALUE, sut.journal
    assert sut.recorded("client.released")[0]["who"] == "ada"


def test_nobody_is_cut_off_while_anomaly_is_switched_off_and_a_canary_is_given_to_nobody_still(
    sut: KeeperProcess,
) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.put("bait", "a trap")
        now = SYSTEM_CLOCK.now()
        off = SwitchSet(part=Part.ANOMALY, is_on=False, until=now + timedelta(hours=1), why="x")
        write_switches(sut.state, Switches().apply(off, now))

        assert wire.refusal("read", name="bait") == "SecretDeniedError"
        assert wire.value(NAME) == VALUE

        write_switches(sut.state, Switches())
        assert wire.refusal("read", name="bait") == "SecretDeniedError"
        assert wire.refusal("read", name=NAME) == "SecretDeniedError"
    assert len(sut.recorded("client.quarantined")) == 1


def test_killed_at_any_time_it_goes_on_and_waits_for_those_who_used_the_old_one(
    sut: KeeperProcess,
) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version="2")
        wire.send({"ask": 99, "verb": "rotate", "name": NAME})
        wire.wait_pushed({"changed": NAME, "version": "3"})
        sut.kill()

    sut.start()
    sut.wait("it is shown", lambda: sut.status.get("secrets"))
    (row,) = [one for one in sut.status["secrets"] if one["name"] == NAME]
    assert row["rotation"]["step"] == "promoted"
    assert [one["version"] for one in row["holders"]] == ["2"]
    with sut.connect() as wire:
        assert wire.value(NAME, version="previous") == VALUE
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version="3")
        sut.wait("it ends", lambda: sut.recorded("rotation.ended"))
        assert wire.refusal("read", name=NAME, version="2") == "SecretRevokedError"


def test_old_one_lives_until_clients_that_nobody_remembers_had_time_to_come_back(
    sut: KeeperProcess,
) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version="2")
        wire.send({"ask": 99, "verb": "rotate", "name": NAME})
        wire.wait_pushed({"changed": NAME, "version": "3"})
        sut.kill()
    (sut.state / "secrets" / "consumers.json").write_text("{")

    sut.start()
    sut.wait("it waits", lambda: FORGOTTEN.label in _waits_for(sut))
    with sut.connect() as wire:
        wire.ask("watch", name=NAME, version="2")
        assert wire.value(NAME, version="2") == VALUE
        sut.wait("it waits for both", lambda: len(_waits_for(sut)) == 2)
    assert sut.recorded("rotation.ended") == []


def test_silent_consumer_is_cut_off_at_the_deadline_of_a_compromise(sut: KeeperProcess) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version="2")

        began_s = time.monotonic()
        rotation = wire.ask("rotate", name=NAME, reason="compromise", why="it leaked")["rotation"]

    assert rotation["outcome"] == "rotated"
    assert rotation["cut"] == [f"{program_name()} (pid {os.getpid()})"]
    assert time.monotonic() - began_s < DEADLINE_S


def test_only_one_keeper_serves_a_folder(sut: KeeperProcess, tmp_path: Path) -> None:
    other = KeeperProcess(tmp_path, TOML)
    other.log = tmp_path / "other.log"
    first = sut.pid
    try:
        start_soon(other)
        with sut.connect() as wire:
            assert wire.ask("names")["names"] == [NAME]
        assert other.process is not None
        assert other.process.poll() is None
        os.kill(first, signal.SIGKILL)
        other.wait("the next one serves", lambda: serves(other))
    finally:
        other.close()


def test_it_ends_with_its_brain(sut: KeeperProcess) -> None:
    assert sut.hang_up() == 0


def test_pages_rotate_and_roll_back_and_may_do_nothing_else(sut: KeeperProcess) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.put(NAME, "another")
        assert sut.page(1, "rollback", name=NAME)["version"]["number"] == "4"
        assert wire.value(NAME) == VALUE

        rotated = sut.page(2, "rotate", name=NAME, reason="manual", why="spring")["rotation"]
        assert (rotated["outcome"], rotated["number"]) == ("rotated", "5")
        assert "error" in sut.page(3, "rotate", name="bait")

    sut.tell({"ask": 4, "verb": "read", "who": "ada", "name": NAME})
    sut.page(5, "release", client="nobody")
    assert 4 not in sut.answers
    assert sut.recorded("rotation.begun")[0]["who"] == "ada"


def test_value_is_nowhere_but_where_it_was_asked_for(sut: KeeperProcess) -> None:
    """Not in what the brain hears, the log, the state folder, nor in the arguments of any process."""
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        assert wire.value(NAME) == VALUE
        wire.ask("read", name=VALUE)  # A client that mistakes the value for a name tells it itself.
        wire.ask("watch", name=NAME)
        wire.send({"ask": 99, "verb": "rotate", "name": NAME})
        wire.wait_pushed({"changed": NAME, "version": "3"})
        second = wire.value(NAME)
        wire.ask("ack", name=NAME, version="3")
        wire.answer(99)
    sut.wait("its status", lambda: sut.status.get("secrets"))

    for value in (VALUE.encode(), second.encode()):
        told = [data for data in sut.said if value in data]
        assert [data for data in told if b'"unknown"' not in data] == []
        assert value not in sut.log.read_bytes()
        assert [path for path in files_below(sut.state) if value in path.read_bytes()] in (
            [],
            [sut.state / "secrets" / "access.db"],
        )
        assert value not in b"".join(arguments())


def test_its_files_are_only_this_users(sut: KeeperProcess) -> None:
    with sut.connect() as wire:
        wire.put(NAME, VALUE)
        wire.ask("watch", name=NAME)
    paths = [*files_below(sut.state / "secrets"), sut.path]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}

    assert set(modes.values()) == {0o600}, modes
    assert {"master.key", "secrets.db", "consumers.json"} <= modes.keys()
    assert stat.S_IMODE((sut.state / "secrets").stat().st_mode) == 0o700


def test_it_leaves_no_core_and_cannot_be_looked_into(sut: KeeperProcess) -> None:
    limits = Path(f"/proc/{sut.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]

    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            Path(f"/proc/{sut.pid}/environ").read_bytes()


def program_name() -> str:
    from resile.daemon.secretkeeper.peers import program_of

    return program_of(os.getpid())


def serves(one: KeeperProcess) -> bool:
    with contextlib.suppress(OSError), one.connect() as wire:
        return "names" in wire.ask("names")
    return False


def start_soon(one: KeeperProcess) -> None:
    """Start one that must not serve yet."""
    serves_at_once: Callable[[], bool] = lambda: True  # noqa: E731
    one._serves = serves_at_once  # type: ignore[method-assign]
    one.start()


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def arguments() -> list[bytes]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


def _waits_for(sut: KeeperProcess) -> list[str]:
    rotations = [one["rotation"] for one in sut.status.get("secrets", ()) if one["name"] == NAME]
    return [label for one in rotations if one is not None for label in one["waits_for"]]
