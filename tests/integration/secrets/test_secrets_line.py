"""The line to the keeper over a real socket: lost, refused, garbled, found again; news; forks."""

import base64
import os
import socket
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.keeping import FakeKeeper, keeper_in, wait_until

import resile
from resile.clients import secrets_line, wire
from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretDeniedError,
    SecretError,
    UnknownSecretError,
)
from resile.secrets import Secret, SecretManager
from resile.secrets.providers.daemon import DaemonProvider

NAME = "db/password"
SENTINEL = base64.b64encode(b"s3nt1nel-value-of-a-secret").decode()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[FakeKeeper]:
    with keeper_in(tmp_path) as found:
        found.values[NAME] = ("1", b"first")
        yield found


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[DaemonProvider]:
    found = DaemonProvider.open(tmp_path, program="test")
    yield found
    found.close()


@pytest.fixture
def manager(provider: DaemonProvider) -> Iterator[SecretManager]:
    found = SecretManager(provider, terms_of=provider.terms_of, feed=provider)
    yield found
    found.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_line, "PATIENCE_S", 0.2)


# What fails ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_patience")
def test_without_a_keeper_it_fails_and_soon_at_once(provider: DaemonProvider) -> None:
    with pytest.raises(ProviderDownError, match="not to be reached"):
        provider.read(NAME)
    provider._line._away_since_s = -1e9

    with pytest.raises(ProviderDownError, match="not to be reached") as caught:
        provider.read(NAME)

    assert caught.value.hint


def test_keeper_that_comes_a_little_later_is_waited_for(
    provider: DaemonProvider, tmp_path: Path
) -> None:
    keeper = FakeKeeper(tmp_path)
    keeper.values[NAME] = ("1", b"first")
    timer = threading.Timer(0.3, keeper.start)
    timer.start()

    assert provider.read(NAME).reveal() == "first"

    timer.join()
    keeper.stop()


def test_keeper_that_refuses_this_process_is_believed(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    error = {"sort": "SecretDeniedError", "message": "a contained run gets none", "hint": "h"}
    keeper.greeting = {"refused": "no", "error": error}

    for _ in range(2):
        with pytest.raises(SecretDeniedError, match="a contained run gets none"):
            provider.read(NAME)
    assert keeper.connected <= 1, "it is not asked again and again"


@pytest.mark.parametrize("greeting", [{"v": 99}, {}, b"garbage\n", b"[]\n", None])
@pytest.mark.usefixtures("short_patience")
def test_keeper_of_another_kind_is_not_used(
    keeper: FakeKeeper,
    provider: DaemonProvider,
    greeting: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets_line, "SEND_TIMEOUT_S", 0.2)
    keeper.greeting = greeting  # type: ignore[assignment]

    with pytest.raises(ProviderDownError):
        provider.read(NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen as somebody else")
@pytest.mark.usefixtures("short_patience")
def test_socket_of_another_user_is_not_trusted(
    provider: DaemonProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He who listens is another user; we are neither he nor root."""
    (tmp_path / "run").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.fspath(tmp_path / "run" / "secrets.sock"))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            server.listen()
            os.write(writer, b"1")
            threading.Event().wait(60)
        finally:
            os._exit(0)
    server.close()
    os.read(reader, 1)
    try:
        with pytest.raises(ProviderDownError, match="another user's"):
            provider.read(NAME)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"secret": None},
        {"secret": {"name": NAME, "version": "1"}},
        {"secret": {"name": NAME, "version": 1, "value": "YQ=="}},
        {"secret": {"name": NAME, "version": "1", "value": "no base64!"}},
    ],
)
def test_answer_that_cannot_be_read_is_an_error_without_a_value(
    keeper: FakeKeeper, provider: DaemonProvider, answer: dict[str, object]
) -> None:
    keeper.answers["read"] = lambda _: {**answer, "other": SENTINEL}

    with pytest.raises(ProviderDownError, match="cannot be read") as caught:
        provider.read(NAME)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SENTINEL not in "".join(shown.format())


@pytest.mark.parametrize(
    ("sort", "kind"),
    [
        ("UnknownSecretError", UnknownSecretError),
        ("SecretDeniedError", SecretDeniedError),
        ("ConfigError", ConfigError),
        ("ProviderDownError", ProviderDownError),
        ("SecretError", SecretError),
        ("KeyboardInterrupt", SecretError),
        ("_again", SecretError),
        ("", SecretError),
    ],
)
def test_errors_come_as_what_they_are(
    keeper: FakeKeeper, provider: DaemonProvider, sort: str, kind: type[Exception]
) -> None:
    error = {"sort": sort, "message": "so it is", "hint": "do this", "retry_after_s": 7}
    keeper.answers["read"] = lambda _: {"error": error}

    with pytest.raises(kind, match="so it is") as caught:
        provider.read(NAME)

    assert type(caught.value) is kind
    assert caught.value.hint == "do this"  # type: ignore[attr-defined]
    assert getattr(caught.value, "retry_after_s", 7) == 7


def test_version_that_cannot_be_read_is_an_error(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    for verb in ("put", "history", "names"):
        keeper.answers[verb] = lambda _: {"version": 5, "versions": 5, "names": 5}

    for ask in (
        lambda: provider.put("a", b"v"),
        lambda: provider.history("a"),
        provider.names,
    ):
        with pytest.raises(ProviderDownError, match="cannot be read"):
            ask()


def test_keeper_that_hangs_up_is_asked_again_for_what_changes_nothing(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    answers = iter([None, b"garbage\n"])

    def fail_twice(message: dict[str, object]) -> dict[str, object] | bytes | None:
        for answer in answers:
            return answer
        del keeper.answers["read"]
        return keeper._known(message)

    keeper.answers["read"] = fail_twice

    assert provider.read(NAME).reveal() == "first"
    assert len(keeper.asked("read")) == 3


def test_keeper_that_hangs_up_is_not_asked_again_for_what_changes_something(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    keeper.answers["put"] = lambda _: None

    with pytest.raises(ProviderDownError):
        provider.put(NAME, b"second")

    assert len(keeper.asked("put")) == 1


def test_answer_that_does_not_come_is_not_waited_for_for_ever(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    keeper.answers["rotate"] = lambda _: b""

    with pytest.raises(ProviderDownError, match=r"did not answer within 0\.1 s"):
        provider.rotate(NAME, timeout_s=0.1)

    assert provider.read(NAME).reveal() == "first", "the line goes on"
    assert not provider._line._questions


def test_questions_are_bounded(
    keeper: FakeKeeper, provider: DaemonProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets_line, "ASKED_MAX", 1)
    provider._line._questions[999] = provider._line._question("read", {})

    with pytest.raises(ProviderDownError, match="too many"):
        provider.read(NAME)


def test_closed_line_asks_nothing(keeper: FakeKeeper, provider: DaemonProvider) -> None:
    provider.read(NAME)
    provider.close()
    provider.close()

    with pytest.raises(ProviderDownError, match="closed"):
        provider.read(NAME)


# What it says -------------------------------------------------------------------------------------


def test_reading_gives_the_secret_and_how_long_it_is_served(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    keeper.ttl_s, keeper.max_stale_s = 5, 7
    found = provider.read(NAME)

    assert (found.name, found.version, found.reveal()) == (NAME, "1", "first")
    assert found.created_at is not None
    terms = provider.terms_of(NAME)
    assert terms is not None
    assert (terms.ttl_s, terms.max_stale_s) == (5, 7)
    assert keeper.heard[0] == {"v": 1, "program": "test"}


def test_all_verbs_are_asked_as_the_keeper_knows_them(
    keeper: FakeKeeper, provider: DaemonProvider
) -> None:
    version = {"number": "3", "stage": "previous", "created_at": None}
    keeper.answers["names"] = lambda _: {"names": ["a", "b"]}
    keeper.answers["history"] = lambda _: {"versions": [version, {"number": "2"}]}
    keeper.answers["put"] = keeper.answers["rollback"] = lambda _: {"version": {"number": "4"}}

    assert provider.names() == ("a", "b")
    assert [one.number for one in provider.history("a")] == ["3", "2"]
    assert provider.put("a", b"\xff", expect="3").number == "4"
    assert provider.rollback("a").number == "4"
    provider.check()
    provider.withdraw("a", "1", why="w")
    provider.rotate("a", why="w", is_dry=True)
    provider.rotations()
    provider.rekey()
    provider.overview()
    provider.doctor()
    provider.access(name="a", limit=5)
    provider.quarantine("service/x", why="w")
    provider.release("service/x")

    said = {one["verb"]: one for one in keeper.heard if "verb" in one}
    facts = {
        verb: {k: v for k, v in one.items() if k not in ("ask", "verb")}
        for verb, one in said.items()
    }
    assert facts == {
        "names": {},
        "history": {"name": "a"},
        "put": {"name": "a", "value": "/w==", "expect": "3"},
        "rollback": {"name": "a"},
        "revoke": {"name": "a", "version": "1", "why": "w"},
        "rotate": {"name": "a", "reason": "manual", "why": "w", "dry": True},
        "rotations": {},
        "rekey": {},
        "overview": {},
        "doctor": {},
        "access": {"name": "a", "limit": 5},
        "quarantine": {"client": "service/x", "why": "w"},
        "release": {"client": "service/x"},
    }


def test_silent_process_says_that_it_lives(
    keeper: FakeKeeper, provider: DaemonProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.05)
    provider.read(NAME)

    wait_until("it says so", lambda: {} in keeper.heard)


# With a manager -----------------------------------------------------------------------------------


def test_name_is_watched_read_once_and_acknowledged(
    keeper: FakeKeeper, manager: SecretManager
) -> None:
    for _ in range(10):
        manager.secret(NAME)

    wait_until("it is acknowledged", lambda: keeper.asked("ack"))
    assert [one["verb"] for one in keeper.heard if "verb" in one] == ["watch", "read", "ack"]
    assert keeper.asked("ack")[0]["version"] == "1"


def test_new_version_comes_by_itself_and_is_acknowledged_when_it_is_taken(
    keeper: FakeKeeper, manager: SecretManager
) -> None:
    told: list[Secret] = []
    manager.secret(NAME)
    manager.on_rotation(NAME, told.append)

    keeper.values[NAME] = ("2", b"second")
    keeper.push({"changed": NAME, "version": "2"})

    wait_until("it is acknowledged", lambda: "2" in [a["version"] for a in keeper.asked("ack")])
    assert [one.reveal() for one in told] == ["second"]
    assert manager.secret(NAME).reveal() == "second"


def test_revoked_version_is_not_served_from_then_on(
    keeper: FakeKeeper, manager: SecretManager
) -> None:
    manager.secret(NAME)
    revoked = {"sort": "SecretRevokedError", "message": "revoked", "hint": ""}
    keeper.answers["read"] = lambda _: {"error": revoked}

    keeper.push({"revoked": NAME, "version": ""})

    wait_until("it is gone", lambda: not manager.held())
    with pytest.raises(SecretError, match="revoked"):
        manager.secret(NAME)


@pytest.mark.parametrize("tells_version", [True, False])
def test_change_while_the_line_was_down_is_seen_when_it_is_back(
    keeper: FakeKeeper, manager: SecretManager, tells_version: bool
) -> None:
    manager.secret(NAME)
    wait_until("it is acknowledged", lambda: keeper.asked("ack"))
    keeper.tells_version = tells_version

    keeper.values[NAME] = ("2", b"second")
    keeper.stop()
    assert manager.secret(NAME).reveal() == "first"
    keeper.heard.clear()
    keeper.start()

    wait_until("it has the new one", lambda: manager.secret(NAME).reveal() == "second")
    again = keeper.asked("watch")[0]
    assert (again["name"], again["version"]) == (NAME, "1"), "with what it had acknowledged"


def test_keeper_that_is_away_costs_no_failure(keeper: FakeKeeper, manager: SecretManager) -> None:
    keeper.ttl_s = 0.05
    manager.secret(NAME)
    keeper.stop()

    values = {manager.secret(NAME).reveal() for _ in range(20)}

    assert values == {"first"}
    keeper.values[NAME] = ("2", b"second")
    keeper.start()
    wait_until("it has the new one", lambda: manager.secret(NAME).reveal() == "second")


def test_refused_logins_are_told_to_the_keeper(keeper: FakeKeeper, manager: SecretManager) -> None:
    manager.secret(NAME)
    for _ in range(3):
        manager.refusals.add(NAME)

    wait_until("it is told", lambda: keeper.asked("note"))
    note = keeper.asked("note")[0]
    assert (note["name"], note["what"], note["count"]) == (NAME, "auth_failed", 3)


def test_name_that_is_not_used_any_more_is_unwatched(
    keeper: FakeKeeper, manager: SecretManager
) -> None:
    manager.secret(NAME)
    manager._memory.drop(NAME)

    wait_until("it is unwatched", lambda: keeper.asked("unwatch"))
    assert not manager._handing._lines


def test_too_many_names_are_unwatched(
    keeper: FakeKeeper, provider: DaemonProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets_line, "WATCHED_MAX", 2)
    for name in ("a", "b", "c", "c"):
        provider.watch(name)
    provider.acknowledge("a", "1")

    wait_until("they are told", lambda: len(keeper.asked("watch")) == 3)
    assert [one["name"] for one in keeper.asked("unwatch")] == ["a"]
    assert not keeper.asked("ack")


def test_child_of_a_fork_has_a_line_of_its_own(keeper: FakeKeeper, manager: SecretManager) -> None:
    manager.secret(NAME)
    wait_until("it is acknowledged", lambda: keeper.asked("ack"))

    pid = os.fork()
    if pid == 0:
        try:
            wait_until("the child has it", lambda: manager.secret(NAME).reveal() == "second")
            os._exit(0)
        finally:
            os._exit(4)
    wait_until("the child has connected", lambda: keeper.connected == 2)
    keeper.values[NAME] = ("2", b"second")
    keeper.push({"changed": NAME, "version": "2"})

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert manager.refresh(NAME).reveal() == "second", "the parent's line is as it was"


def test_end_leaves_neither_thread_nor_file(keeper: FakeKeeper, tmp_path: Path) -> None:
    files, threads = open_files(), set(threading.enumerate())
    for _ in range(3):
        provider = DaemonProvider.open(tmp_path, program="test")
        manager = SecretManager(provider, terms_of=provider.terms_of, feed=provider)
        manager.secret(NAME)
        manager.close()
    keeper.hang_up()

    def ours() -> set[str]:
        left = set(threading.enumerate()) - threads
        return {one.name for one in left if one.name.startswith("resile")}

    wait_until("the threads have ended", lambda: not ours())
    wait_until("the files are closed", lambda: open_files() <= files)


def test_process_of_a_system_asks_its_keeper_whatever_else_is_set(
    keeper: FakeKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILE_SECRETS", "env")
    monkeypatch.setenv("RESILE_STATE_DIR", str(tmp_path))
    keeper.ttl_s = 0

    with resile.use_secrets():
        values = [resile.secret(NAME).reveal() for _ in range(2)]

    assert values == ["first", "first"]
    assert len(keeper.asked("read")) == 2, "it says how long a value is served"
