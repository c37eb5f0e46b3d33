"""The outbox: order, identity, limits, retries, dead letters, leases, and what happens to its file."""

import os
import random
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.degradation.kit import Receiver, put_all

from resile.degradation import Message, Outbox, OutboxLimits
from resile.degradation.outbox.outbox import FAILURES_IN_A_ROW_MAX
from resile.degradation.outbox.table import DAMAGED
from resile.errors import ConfigError, OutboxError, OutboxFullError
from resile.testing import FakeClock

FAST = OutboxLimits(attempts=3, initial=1, max=4, lease=60)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock, chance=random.Random(1)) as made:
        yield made


# Order and identity -------------------------------------------------------------------------------


def test_messages_are_sent_once_in_their_order(outbox: Outbox) -> None:
    receiver = Receiver()
    put_all(outbox, *range(20))

    first, second = outbox.drain(receiver), outbox.drain(receiver)

    assert receiver.got == list(range(20))
    assert (first.sent, first.waiting) == (20, 0)
    assert second == (0, 0, 0, 0)


def test_a_message_that_fails_holds_its_key_up_and_no_other(
    outbox: Outbox, clock: FakeClock
) -> None:
    receiver = Receiver()
    receiver.bad = ["a1"]
    for value in ("a1", "b1", "a2", "b2"):
        outbox.put(value, key=value[0])

    drained = outbox.drain(receiver)
    assert (receiver.got, drained.failed, drained.waiting) == (["b1", "b2"], 1, 2)
    assert outbox.drain(receiver).failed == 0

    receiver.bad = []
    clock.advance(1.3)
    outbox.drain(receiver)
    assert receiver.got == ["b1", "b2", "a1", "a2"]


def test_an_id_is_kept_once_whether_it_waits_is_dead_or_was_sent(
    outbox: Outbox, clock: FakeClock
) -> None:
    receiver = Receiver()
    assert outbox.put("x", id="1") == ("1", True)
    assert outbox.put("y", id="1") == ("1", False)
    outbox.drain(receiver)
    assert outbox.put("x", id="1") == ("1", False)

    receiver.error = OSError()
    outbox.put("z", id="2")
    for _ in range(3):
        outbox.drain(receiver)
        clock.advance(10)
    assert len(outbox.dead()) == 1
    assert not outbox.put("z", id="2").is_new
    assert receiver.got == ["x"]


def test_ids_that_were_sent_are_remembered_up_to_a_limit(tmp_path: Path) -> None:
    limits = OutboxLimits(remembered_max=3)
    with Outbox(tmp_path / "o", limits) as outbox:
        for number in range(5):
            outbox.put(number, id=str(number))
        outbox.drain(Receiver())

        assert [outbox.put(n, id=str(n)).is_new for n in range(5)] == [True, True] + [False] * 3


def test_values_come_back_as_json_keeps_them(outbox: Outbox, clock: FakeClock) -> None:
    value = {"a": [1, 2.5, None, True, "ü\u2028\x00"], "b": {}}
    outbox.put(value, id="one", key="k")
    seen: list[Message] = []

    outbox.drain(seen.append)

    (message,) = seen
    assert message == Message(id="one", key="k", value=value, put_at=clock.now(), tries=1)


# Limits -------------------------------------------------------------------------------------------


def test_a_full_outbox_refuses(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", OutboxLimits(count_max=2)) as outbox:
        put_all(outbox, 1, 2)

        with pytest.raises(OutboxFullError, match="2 of 2 messages") as caught:
            outbox.put(3)

        assert "drain" in caught.value.hint
        outbox.drain(Receiver(), limit=1)
        assert outbox.put(3).is_new


def test_bytes_are_limited_as_well(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", OutboxLimits(bytes_max="1kB")) as outbox:
        outbox.put("x" * 500)
        with pytest.raises(OutboxFullError, match="502 of 1000 bytes"):
            outbox.put("x" * 500)
        assert outbox.counts() == (1, 502, 0, 0)


@pytest.mark.parametrize("when_full", ["refuse", "drop_oldest"])
def test_a_message_that_never_fits_is_told_so(tmp_path: Path, when_full: str) -> None:
    limits = OutboxLimits(bytes_max="1kB", when_full=when_full)
    with Outbox(tmp_path / "o", limits) as outbox:
        outbox.put(1)
        with pytest.raises(OutboxFullError, match=r"too large .* 1003 bytes .* of 1000") as caught:
            outbox.put("x" * 1001)

        assert "bytes_max" in caught.value.hint
        assert "is full" not in str(caught.value)
        assert outbox.counts().waiting == 1


def test_or_the_oldest_that_is_not_being_sent_is_dropped(tmp_path: Path) -> None:
    limits = OutboxLimits(count_max=3, when_full="drop_oldest")
    receiver = Receiver()
    with Outbox(tmp_path / "o", limits) as outbox:
        put_all(outbox, 1, 2, 3)

        def put_while_sending(message: Message) -> None:
            if message.value == 1:
                put_all(outbox, 4, 5)
            receiver(message)

        outbox.drain(put_while_sending)

        assert receiver.got == [1, 4, 5]
        assert outbox.counts() == (0, 0, 0, 2)


def test_dead_letters_have_a_limit(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.error = OSError("gone")
    with Outbox(tmp_path / "o", OutboxLimits(attempts=1, dead_max=2)) as outbox:
        for number in range(4):
            outbox.put(number, key=str(number))
        outbox.drain(receiver)
        outbox.drain(receiver)

        assert [letter.message.value for letter in outbox.dead()] == [2, 3]
        assert outbox.counts().dropped == 2


def test_every_limit_out_of_range_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        OutboxLimits(
            count_max=0,
            bytes_max="much",
            when_full="panic",
            attempts=0,
            initial=0,
            max="never",
            lease=0,
            dead_max=-1,
            remembered_max=-1,
        )

    assert len(caught.value.problems) == 9
    with pytest.raises(ConfigError, match="above max"):
        OutboxLimits(initial=10, max=1)


@pytest.mark.parametrize(
    "value", [object(), float("nan"), {1: {2: object()}}, "\ud800", b"bytes", {("a",): 1}]
)
def test_what_is_no_json_is_refused(outbox: Outbox, value: object) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        outbox.put(value)
    assert outbox.counts().waiting == 0


@pytest.mark.parametrize("names", [{"id": ""}, {"id": "x" * 201}, {"key": "x" * 201}])
def test_ids_and_keys_are_checked(outbox: Outbox, names: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="is not a text of"):
        outbox.put(1, **names)


# Retries and dead letters -------------------------------------------------------------------------


def test_waits_grow_and_the_last_attempt_makes_a_dead_letter(
    outbox: Outbox, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver()
    receiver.error = OSError("gone")
    outbox.put("x", id="1")
    dues = []
    for _ in range(2):
        assert outbox.drain(receiver).failed == 1
        due_s = outbox.next_s()
        assert due_s is not None
        dues.append(due_s)
        clock.advance(due_s - 0.01)
        assert outbox.drain(receiver).failed == 0
        clock.advance(0.02)
    assert 1 <= dues[0] <= 1.2
    assert 2 <= dues[1] <= 2.4

    assert outbox.drain(receiver) == (0, 1, 1, 0)

    (letter,) = outbox.dead()
    assert (letter.message.id, letter.message.tries, letter.why) == ("1", 3, "OSError: gone")
    assert outbox.next_s() is None
    assert "outbox.dead_letter" in caplog.messages


def test_a_dead_letter_lets_those_behind_it_go_and_can_be_requeued(
    outbox: Outbox, clock: FakeClock
) -> None:
    receiver = Receiver()
    receiver.bad = [1]
    put_all(outbox, 1, 2)
    for _ in range(3):
        outbox.drain(receiver)
        clock.advance(10)
    assert receiver.got == [2]

    receiver.bad = []
    assert outbox.requeue(["unknown"]) == 0
    assert outbox.requeue() == 1
    outbox.drain(receiver)
    assert receiver.got == [2, 1]
    assert outbox.dead() == ()


def test_requeued_letters_need_room(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.error = OSError()
    with Outbox(tmp_path / "o", OutboxLimits(attempts=1, count_max=1)) as outbox:
        outbox.put(1)
        outbox.drain(receiver)
        outbox.put(2)

        with pytest.raises(OutboxFullError):
            outbox.requeue()
        assert len(outbox.dead()) == 1


def test_a_drain_ends_when_nobody_listens(outbox: Outbox) -> None:
    receiver = Receiver()
    receiver.error = ConnectionError()
    for number in range(10):
        outbox.put(number, key=str(number))

    assert outbox.drain(receiver).failed == FAILURES_IN_A_ROW_MAX


# The file -----------------------------------------------------------------------------------------


def test_only_this_user_may_read_it(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put("secret")

    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_commit_goes_to_the_disk(outbox: Outbox) -> None:
    outbox.put("x")
    connection = outbox._table._connection
    assert connection is not None

    found = [
        connection.execute(f"pragma {n}").fetchone()[0] for n in ("journal_mode", "synchronous")
    ]

    assert found == ["wal", 2]


def test_it_is_found_again_and_closed_is_not_lost(tmp_path: Path) -> None:
    outbox = Outbox(str(tmp_path / "new" / "folder" / "o"))
    outbox.put("x")
    outbox.close()
    receiver = Receiver()

    with Outbox(tmp_path / "new" / "folder" / "o") as again:
        again.drain(receiver)
    outbox.put("y")
    outbox.close()

    assert receiver.got == ["x"]


def test_what_was_changed_behind_our_back_is_not_sent(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put({"amount": 5})
    outbox.put({"amount": 6})
    outbox.close()
    raw = sqlite3.connect(tmp_path / "outbox.db")
    raw.execute("update message set body = '{\"amount\":9}' where seq = 1")
    raw.commit()
    raw.close()
    receiver: list[Message] = []

    outbox.drain(receiver.append)

    assert [message.value for message in receiver] == [{"amount": 6}]
    assert [letter.why for letter in outbox.dead()] == [DAMAGED]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no database", "not a database"),
        ("other", "something else"),
        ("later", "format version 99"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "o"
    if content == "no database":
        path.write_text("hello " * 1000)
    elif content == "other":
        other = sqlite3.connect(path)
        other.execute("create table other (x)")
        other.close()
    else:
        Outbox(path).counts()
        later = sqlite3.connect(path)
        later.execute("pragma user_version = 99")
        later.close()

    with pytest.raises(OutboxError, match=text) as caught:
        Outbox(path).put(1)

    assert caught.value.hint


def test_no_link_is_followed_and_no_folder_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("link", "."):
        with pytest.raises(OutboxError):
            Outbox(tmp_path / name).put(1)
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_keeps_nothing_and_says_so(outbox: Outbox) -> None:
    outbox.put("x")
    connection = outbox._table._connection
    assert connection is not None
    (pages,) = connection.execute("pragma page_count").fetchone()
    connection.execute(f"pragma max_page_count = {pages}")

    with pytest.raises(OutboxError, match="full") as caught:
        outbox.put("y" * 100_000, id="y")

    assert caught.value.is_transient
    assert outbox.counts().waiting == 1
    connection.execute("pragma max_page_count = 100000")
    assert outbox.put("y" * 100_000, id="y").is_new


def test_a_fork_that_cannot_wait_leaves_the_parents_file_alone(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.core.forking.FORK_WAIT_S", 0.01)
    outbox.put("x")
    mine = outbox._table._connection
    with outbox._table._guarded.lock:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                is_forgotten = outbox._table._connection is None
                code = 0 if is_forgotten and outbox.put("y").is_new else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert outbox._table._connection is mine
    receiver = Receiver()
    outbox.drain(receiver)
    assert receiver.got == ["x", "y"]


def test_a_child_of_a_fork_uses_it_too(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        outbox.put("before")
        pid = os.fork()
        if not pid:
            code = 1
            try:
                for number in range(10):
                    outbox.put(["child", number])
                code = 0
            finally:
                os._exit(code)
        for number in range(10):
            outbox.put(["parent", number])
        outbox.close()
        _, status = os.waitpid(pid, 0)
        receiver = Receiver()
        outbox.drain(receiver)

    assert os.waitstatus_to_exitcode(status) == 0
    assert receiver.got[0] == "before"
    for who in ("child", "parent"):
        assert [n for w, n in receiver.got[1:] if w == who] == list(range(10))
