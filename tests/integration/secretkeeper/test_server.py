"""The socket of the secretkeeper, with real processes at its other end and a provider in memory."""

import asyncio
import base64
import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.keeper_wire import DEADLINE_S, KeeperWire

from resile.contain import Host, Limits, Runs, run
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import Payload, SecretAccessed
from resile.core.vocabulary import AccessOutcome, SecretStage
from resile.daemon.lanes.throttle import BURST
from resile.daemon.secretkeeper import connection, pace, server
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.folders import Folders
from resile.daemon.secretkeeper.leasing import Leasing
from resile.daemon.secretkeeper.model import Deliver, Plan, SecretPlan
from resile.daemon.secretkeeper.peers import Peers
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.daemon.secretkeeper.recording import Recorder
from resile.daemon.secretkeeper.server import Server
from resile.daemon.secretkeeper.verbs import Verbs
from resile.daemon.secretkeeper.warden import Warden
from resile.errors import ProviderDownError
from resile.secrets.anomaly import Access, Finding, Note, Read
from resile.testing.secrets import FakeProvider

UNIT = "0123456789ab"
NAME = "db/password"
VALUE = "sesame open"
CLIENT = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(json.dumps({"v": 1, "program": "service/web"}).encode() + b"\\n")
file = sock.makefile("rb")
file.readline()
sock.sendall(json.dumps({"ask": 1, "verb": sys.argv[2], "name": "db/password"}).encode() + b"\\n")
print(file.readline().decode())
"""

STARTING = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
file = sock.makefile("rb")
def say(**message):
    sock.sendall(json.dumps(message).encode() + b"\\n")
    return file.readline()
say(v=1)
say(ask=1, verb="hand")
print(flush=True)
input()
say(ask=2, verb="handed", versions={"db/password": "\\x1b" + "9" * 900_000, "other": "1"}, folder="")
print(flush=True)
input()
"""


class Nothing:
    """A watch that finds nothing odd, but what it is told to."""

    def __init__(self) -> None:
        self.seen_ones: list[Access] = []
        self.noted_ones: list[Note] = []
        self.finds: list[Finding] = []

    def seen(self, access: Access) -> list[Finding]:
        self.seen_ones.append(access)
        found, self.finds = self.finds, []
        return found

    def noted(self, note: Note) -> list[Finding]:
        self.noted_ones.append(note)
        return []

    def look(self, now: datetime) -> list[Finding]:
        return []

    def maintain(self, clients: AbstractSet[str]) -> None: ...

    def forgive(self, client: str) -> None: ...

    def retired(self, name: str, version_number: str = "") -> None: ...

    def reads(self, *, client: str = "", name: str = "", limit: int = 1000) -> list[Read]:
        return []

    def blast_radius(self, client: str) -> tuple[str, ...]:
        return tuple(one.name for one in self.seen_ones if one.client == client)


class Scene:
    """A server in a thread, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.told: list[Payload] = []
        self.is_journal_down = False
        self.rotated: list[tuple[str, str]] = []
        self.handed: list[str] = []
        self.watch = Nothing()
        self.provider = FakeProvider({NAME: VALUE, "other": "no"}, clock=SYSTEM_CLOCK)
        self.state = folder
        self.path = folder / "run" / server.SOCKET_NAME
        self.path.parent.mkdir()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._is_up.wait(DEADLINE_S)

    def tell(self, *payloads: Payload) -> None:
        if self.is_journal_down:
            raise ProviderDownError("could not be recorded")
        self.told.extend(payloads)

    def outcomes(self) -> list[tuple[str, AccessOutcome]]:
        return [(one.client, one.outcome) for one in self.told if isinstance(one, SecretAccessed)]

    def _push(self, connections: Iterable[int], message: Mapping[str, Any]) -> None:
        self._server.push(connections, message)

    def connect(self, **more: Any) -> KeeperWire:
        return KeeperWire(self.path, **more)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(DEADLINE_S)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        plan = Plan(
            state=self.state,
            settings={"ttl": 300.0, "max_stale": 3600.0},
            secrets={NAME: SecretPlan(name=NAME, services=("web",), deliver=Deliver.ENV, ttl_s=60)},
        )
        self.registry = Registry(
            self.state,
            clock=SYSTEM_CLOCK,
            push=self._push,
            on_change=lambda _: None,
            on_revoke=lambda *_: None,
        )
        leasing = Leasing(lambda: self.provider, clock=SYSTEM_CLOCK)
        self.warden = Warden(
            self.watch,
            quarantine=Quarantine(self.state, clock=SYSTEM_CLOCK),
            registry=self.registry,
            rotate=lambda name, reason, _: self.rotated.append((name, reason)),
            end_leases=leasing.cut,
            tell=self.tell,
            clock=SYSTEM_CLOCK,
        )
        verbs = Verbs(
            plan,
            reader=lambda: self.provider,
            registry=self.registry,
            recorder=Recorder(self.tell, clock=SYSTEM_CLOCK),
            warden=self.warden,
            folders=Folders(self.state, unit=UNIT, environ={}),
            handed=self.handed.extend,
            given=leasing.given,
            failed=lambda: None,
            others=leasing.asks,
        )
        self._server = Server(
            self.path.parent,
            peers=Peers(None, unit=UNIT),
            verbs=verbs,
            heard=self.registry.heard,
            left=self.registry.left,
            clock=SYSTEM_CLOCK,
        )
        self._task = asyncio.create_task(self._server.serve())
        while not self.path.exists():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        self._is_up.set()
        await asyncio.wait([self._task])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def asked_by(argv: list[str], scene: Scene, *, env: Mapping[str, str] | None = None) -> str:
    """Let a process of its own ask, which says of itself that it is a service; give the answer's text."""
    words = [*argv, sys.executable, "-S", "-c", CLIENT, str(scene.path), "read"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hello", [b"nonsense\n", b"[]\n", b'{"v": 2}\n', b'{"program": "x"}\n', b"{" + b"x" * (1 << 20)]
)
def test_who_does_not_speak_our_words_is_refused(scene: Scene, hello: bytes) -> None:
    with scene.connect(hello=hello) as wire:
        assert wire.welcome is not None
        assert "refused" in wire.welcome
        assert wire.receive() is None


def test_who_is_refused_again_and_again_does_not_fill_the_log(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(BURST + 10):
        with scene.connect(hello=b"nonsense\n") as wire:
            assert wire.receive() is None

    told = [one for one in caplog.messages if "secretkeeper.refused" in one]
    assert 1 <= len(told) < BURST + 10


def test_process_of_another_pid_namespace_gets_nothing_and_is_recorded(scene: Scene) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")

    answer = asked_by(["unshare", "--pid", "--fork", "--kill-child"], scene)

    assert "SecretDeniedError" in answer
    assert VALUE not in answer
    assert scene.outcomes() == [(f"user/{os.geteuid()}/other-namespace", AccessOutcome.DENIED)]


def test_contained_run_gets_nothing_although_it_is_this_user(scene: Scene, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    host = Host(runs=Runs(tmp_path / "runs"), journal=tmp_path / "journal", environ=environ)
    python = os.path.realpath(sys.executable)
    with contextlib.closing(host):
        outcome = run(
            [python, "-S", "-c", CLIENT, str(scene.path), "read"],
            limits=Limits(time_s=DEADLINE_S),
            shown=[scene.path.parent],
            host=host,
        )

    assert b"SecretDeniedError" in outcome.stdout, outcome
    assert scene.outcomes() == [(f"user/{os.geteuid()}/contained-run", AccessOutcome.DENIED)]


def test_other_user_gets_nothing_even_if_the_socket_lets_it_in(scene: Scene) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    scene.path.chmod(0o666)
    for folder in (scene.path.parent, *scene.state.parents):
        if folder.owner() == "root" and folder != folder.parent and str(folder) != "/tmp":
            folder.chmod(0o755)
    scene.state.chmod(0o755)

    answer = asked_by(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], scene)

    assert "SecretDeniedError" in answer
    ((client, outcome),) = scene.outcomes()
    assert client.startswith("user/65534/")
    assert outcome is AccessOutcome.DENIED


def test_what_cannot_be_recorded_is_not_given(scene: Scene) -> None:
    scene.is_journal_down = True

    with scene.connect() as wire:
        answer = wire.ask("read", name=NAME)
        assert answer["error"]["sort"] == "ProviderDownError"
        assert "secret" not in answer

        scene.is_journal_down = False
        assert wire.value(NAME) == VALUE


def test_quarantined_client_gets_nothing_until_it_is_released(scene: Scene) -> None:
    with scene.connect() as wire:
        wire.ask("watch", name=NAME)
        assert wire.value(NAME) == VALUE
        (client, _) = scene.outcomes()[0]

        scene.warden.cut_off(client, why="a test", who="operator")

        wire.wait_pushed({"revoked": NAME, "version": ""})
        assert wire.refusal("read", name=NAME) == "SecretDeniedError"
        assert wire.refusal("watch", name=NAME) == "SecretDeniedError"
        assert scene.rotated == [(NAME, "compromise")]
        scene.warden.release(client, who="operator")
        assert wire.value(NAME) == VALUE


def test_client_that_asks_without_end_is_slowed_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BURST", 20.0)
    with scene.connect() as wire:
        sorts = [wire.ask("read", name="unknown")["error"] for _ in range(6)]

    assert sorts[0]["sort"] == "UnknownSecretError"
    assert sorts[-1]["sort"] == "ProviderDownError"
    assert sorts[-1]["retry_after_s"] > 0


@pytest.mark.parametrize("verb", [None, 5, [], {}, ["read"]])
def test_verb_that_is_no_word_is_refused_without_a_log(
    scene: Scene, verb: object, caplog: pytest.LogCaptureFixture
) -> None:
    with scene.connect() as wire:
        wire.send({"ask": 1, "verb": verb})
        assert wire.answer(1)["error"]["sort"] == "ConfigError"
    assert caplog.records == []


def test_one_client_cannot_have_all_connections_without_a_word(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_OF_ONE_MAX", 2)
    monkeypatch.setattr(connection, "HELLO_S", DEADLINE_S)
    with contextlib.ExitStack() as undo:
        silent = [undo.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for one in silent:
            one.connect(str(scene.path))

        told, _, _ = select.select(silent, [], [], DEADLINE_S)

        assert b"connections already" in told[0].recv(4096)


def test_one_client_cannot_have_all_connections(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_OF_ONE_MAX", 2)
    wires = [scene.connect() for _ in range(3)]
    try:
        last = wires[-1].welcome
        assert last is not None
        assert "refused" in last
        assert last["error"]["sort"] == "ProviderDownError"  # What it has in memory it may use.
        assert last["error"]["retry_after_s"] > 0
        assert wires[0].value(NAME) == VALUE
    finally:
        for wire in wires:
            wire.close()


def test_error_of_the_keeper_itself_tells_nothing(scene: Scene) -> None:
    scene.provider.read = None  # type: ignore[assignment,method-assign]
    with scene.connect() as wire:
        error = wire.ask("read", name=NAME)["error"]

    assert error == {"sort": "OperationError", "message": "the secretkeeper failed"}


# Served -------------------------------------------------------------------------------------------


def test_operator_gets_a_secret_and_it_is_recorded_before(scene: Scene) -> None:
    with scene.connect() as wire:
        answer = wire.ask("read", name=NAME, version="current")

    assert base64.b64decode(answer["secret"]["value"]).decode() == VALUE
    assert (answer["ttl_s"], answer["max_stale_s"]) == (60, 3600)
    assert answer["secret"]["version"] == "1"
    (access,) = [one for one in scene.told if isinstance(one, SecretAccessed)]
    assert (access.name, access.number, access.pid) == (NAME, "1", os.getpid())
    assert access.client.startswith(f"user/{os.geteuid()}/")


def test_forged_hello_changes_nothing(scene: Scene) -> None:
    """A process outside of services that calls itself one is still its user's."""
    answer = asked_by([], scene)

    assert base64.b64encode(VALUE.encode()).decode() in answer
    ((client, _),) = scene.outcomes()
    assert client.startswith(f"user/{os.geteuid()}/python")


def test_process_with_the_mark_of_a_service_is_that_service(scene: Scene) -> None:
    env = {**os.environ, "RESILE_UNIT": f"{UNIT}/web-1"}
    assert '"secret"' in asked_by([], scene, env=env)

    scene.told.clear()
    other = {**os.environ, "RESILE_UNIT": f"{UNIT}/job-1"}
    assert "not granted" in asked_by([], scene, env=other)
    assert scene.outcomes() == [("service/job", AccessOutcome.DENIED)]


def test_service_that_starts_is_waited_for_and_cannot_fill_what_is_kept(scene: Scene) -> None:
    env = {**os.environ, "RESILE_UNIT": f"{UNIT}/web-1"}
    words = [sys.executable, "-S", "-c", STARTING, str(scene.path)]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        (before,) = scene.registry.holding(NAME)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        (after,) = scene.registry.holding(NAME)
        child.stdin.write(b"\n")

    assert (before.version, before.is_live) == ("", True)
    assert after.version == " " + "9" * 199
    assert scene.handed == [NAME]
    assert scene.registry.holding("other") == ()


def test_many_questions_at_once_are_all_answered(scene: Scene) -> None:
    with scene.connect() as wire:
        for number in range(1, 201):
            wire.send({"ask": number, "verb": "read", "name": NAME})
        answers = [wire.receive() for _ in range(200)]

    assert sorted(one["answer"] for one in answers if one) == list(range(1, 201))
    assert all("secret" in one for one in answers if one)
    assert len(scene.outcomes()) < 20


def test_consumer_is_told_of_changes_and_counted(scene: Scene) -> None:
    with scene.connect() as wire:
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version="1")
        assert [one.version for one in scene.registry.holding(NAME)] == ["1"]

        version = scene.provider.write(
            NAME, b"new", stage=SecretStage.CURRENT, expect=None, token="t"
        )
        scene.registry.tell(NAME, version.number)

        wire.wait_pushed({"changed": NAME, "version": version.number})
        assert wire.value(NAME) == "new"
        wire.ask("unwatch", name=NAME)
        assert scene.registry.holding(NAME) == ()


def test_names_and_history_hold_no_values(scene: Scene) -> None:
    with scene.connect() as wire:
        assert wire.ask("names")["names"] == [NAME, "other"]
        versions = wire.ask("history", name=NAME)["versions"]

    assert [(one["number"], one["stage"]) for one in versions] == [("1", "current")]


def test_only_a_service_is_handed_secrets(scene: Scene) -> None:
    with scene.connect() as wire:
        assert wire.refusal("hand") == "SecretDeniedError"
        assert wire.refusal("handed", versions={}, folder="") == "SecretDeniedError"


def test_what_a_client_says_of_a_login_is_noted(scene: Scene) -> None:
    with scene.connect() as wire:
        wire.ask("note", name=NAME, what="auth_failed", count=3)
        wire.ask("note", name=NAME, what="nonsense", count=3)

    assert [one.name for one in scene.watch.noted_ones] == [NAME] * 3


def test_client_that_reads_nothing_is_left(scene: Scene) -> None:
    with scene.connect() as wire:
        sock: socket.socket = wire._sock
        sock.settimeout(2.0)
        refused = False
        try:
            for number in range(200_000):
                sock.sendall(b'{"ask": %d, "verb": "names"}\n' % number)
        except (TimeoutError, ConnectionError):
            refused = True
    assert refused
    with scene.connect() as wire:
        deadline_s = time.monotonic() + DEADLINE_S
        while "secret" not in wire.ask("read", name=NAME):  # It has used up what it may ask.
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
