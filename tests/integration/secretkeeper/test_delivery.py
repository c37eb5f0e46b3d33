"""Services of a real guard get their secrets from a real secretkeeper when they start, and new ones later."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.guarding import Brain, GuardProcess, guarding, wait_until
from tests.support.keeper_process import KeeperProcess, keeper

TOML = """
[service.web]
command = ["true"]
[service.job]
command = ["true"]
[secret."db/password"]
services = ["web", "job"]
deliver = "env"
rotator = { kind = "random" }
[secret."api/key"]
services = ["web"]
deliver = "file"
signal = "USR1"
rotator = { kind = "random" }
[secret.plain]
services = ["job"]
[service.late]
command = ["true"]
[secret.late]
services = ["late"]
deliver = "env"
"""
SERVICE = """
import os, signal, sys, time
out = open(sys.argv[1], "a", buffering=1)
def show(*_):
    folder = os.environ.get("RESILE_SECRETS_DIR", "")
    path = folder + "/api/key"
    key = open(path).read() if os.path.exists(path) else ""
    mode = oct(os.stat(path).st_mode & 0o777) if key else ""
    out.write(" ".join(("pid", str(os.getpid()), os.environ.get("DB_PASSWORD", "-"), key or "-", mode or "-", folder or "-")) + "\\n")
signal.signal(signal.SIGUSR1, show)
assert signal.getsignal(signal.SIGPIPE) != signal.SIG_DFL or True
show()
while True:
    time.sleep(60)
"""


class Scene:
    """A guard whose brain is the test, and a keeper beside it."""

    def __init__(self, folder: Path, guard: GuardProcess) -> None:
        self.folder = folder
        self.guard = guard
        self.brain: Brain = guard.brain()
        (folder / "service.py").write_text(SERVICE)

    def start(self, name: str, *, generation: int = 1, argv: tuple[str, ...] = ()) -> int:
        """Start a service as the brain does; give its pid."""
        command = argv or (sys.executable, str(self.folder / "service.py"), str(self.out(name)))
        handing = (sys.executable, "-I", "-m", "resile.daemon.handing", str(self.guard.state), "--")
        started = self.brain.started(
            *handing, *command, service=name, generation=generation, env=dict(os.environ)
        )
        return started.pid

    def out(self, name: str) -> Path:
        return self.folder / f"{name}.out"

    def shown(self, name: str, count: int) -> list[str]:
        """Wait until a service has shown what it has so often, and give the last."""
        path = self.out(name)
        wait_until(
            lambda: path.exists() and path.read_text().count("\n") >= count, f"{name} shows {count}"
        )
        return path.read_text().splitlines()[count - 1].split()

    def log(self, name: str) -> str:
        return (self.guard.state / "logs" / f"{name}.log").read_text()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with guarding(tmp_path) as guard:
        yield Scene(tmp_path, guard)


@pytest.fixture
def sut(tmp_path: Path, scene: Scene) -> Iterator[KeeperProcess]:
    with keeper(tmp_path, TOML) as made:
        made.wait_born(2)
        yield made


def test_service_without_its_secret_does_not_start_and_says_why(
    scene: Scene, sut: KeeperProcess
) -> None:
    scene.start("late")

    exited = scene.brain.exited("late")

    assert exited.exit_code == 1
    assert "the service cannot start: there is no secret 'late'" in " ".join(exited.tail)


def test_service_waits_for_a_secret_that_its_first_rotation_makes(
    scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / "make.sh").write_text(
        f'[ "$1" = prepare ] || exit 0\n'
        f"until [ -e {tmp_path}/go ]; do sleep 0.05; done\necho made-1\n"
    )
    toml = f"""
        [service.web]
        command = ["true"]
        [secret."db/password"]
        services = ["web"]
        deliver = "env"
        rotator = {{ kind = "command", command = ["sh", "{tmp_path}/make.sh"] }}
        """
    with keeper(tmp_path, toml) as sut:
        scene.start("web")
        sut.wait("it is asked for", lambda: sut.recorded("secret.accessed"))
        (tmp_path / "go").touch()

        assert scene.shown("web", 1)[2] == "made-1"
        outcomes = {one["outcome"] for one in sut.recorded("secret.accessed")}
        assert outcomes == {"failed", "given"}


def test_service_whose_command_is_missing_says_so(scene: Scene, sut: KeeperProcess) -> None:
    with sut.connect() as wire:
        wire.put("db/password", "x")

    scene.start("job", argv=("no-such-program",))

    assert "no-such-program" in " ".join(scene.brain.exited("job").tail)


def test_service_gets_its_own_as_variable_and_file_and_nobody_else_sees_the_file(
    scene: Scene, sut: KeeperProcess
) -> None:
    with sut.connect() as wire:
        wire.put("db/password", "sesame-1")
        wire.put("api/key", "key-1")
        pid = scene.start("web")

        shown = scene.shown("web", 1)
        assert shown[1:5] == [str(pid), "sesame-1", "key-1", "0o400"]
        assert "key-1" not in str(wire.ask("access"))
    folder = Path(shown[5])
    assert not (folder / "api" / "key").exists()  # It is in a mount of the service alone.
    inside = Path(f"/proc/{pid}/root{folder}/api/key")
    if os.geteuid() == 0:
        assert inside.read_text() == "key-1"
    clients = {(one["client"], one["name"]) for one in sut.recorded("secret.accessed")}
    assert clients == {("service/web", "db/password"), ("service/web", "api/key")}
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"handing" not in command
    assert b"sesame-1" not in command


def test_service_that_has_only_variables_gets_no_folder(scene: Scene, sut: KeeperProcess) -> None:
    with sut.connect() as wire:
        wire.put("db/password", "sesame-1")
    scene.start("job")

    assert scene.shown("job", 1)[2:] == ["sesame-1", "-", "-", "-"]


def test_rotated_file_is_written_anew_and_its_service_told_even_if_the_keeper_died_meanwhile(
    scene: Scene, sut: KeeperProcess
) -> None:
    with sut.connect() as wire:
        wire.put("db/password", "sesame-1")
        wire.put("api/key", "key-1")
    pid = scene.start("web")
    scene.shown("web", 1)

    with sut.connect() as wire:
        rotation = wire.ask("rotate", name="api/key")["rotation"]
        second = wire.value("api/key")
    assert (rotation["outcome"], rotation["cut"]) == ("rotated", [])
    assert scene.shown("web", 2)[1:5] == [str(pid), "sesame-1", second, "0o400"]

    os.kill(pid, signal.SIGSTOP)
    with sut.connect() as wire:
        wire.put("api/key", "key-3")
        sut.kill()
    os.kill(pid, signal.SIGCONT)
    sut.start()
    assert scene.shown("web", 3)[3] == "key-3"
    assert {one["client"] for one in sut.recorded("secret.accessed")} >= {"service/web"}


def test_services_with_variables_are_restarted_one_after_the_other(
    scene: Scene, sut: KeeperProcess
) -> None:
    with sut.connect() as wire:
        wire.put("db/password", "sesame-1")
        wire.put("api/key", "key-1")
        for name in ("web", "job"):
            scene.start(name)
            scene.shown(name, 1)

        wire.send({"ask": 50, "verb": "rotate", "name": "db/password"})
        sut.wait("the first restart", lambda: sut.restarts == [["web"]])
        scene.brain.kill("web", 1)
        scene.start("web", generation=2)
        second = scene.shown("web", 2)[2]
        sut.wait("the second restart", lambda: sut.restarts == [["web"], ["job"]])
        scene.brain.kill("job", 1)
        scene.start("job", generation=2)

        assert scene.shown("job", 2)[2] == second != "sesame-1"
        assert wire.answer(50)["rotation"]["outcome"] == "rotated"


def test_service_is_known_by_its_group_and_gets_no_more_than_its_own(
    scene: Scene, sut: KeeperProcess
) -> None:
    with sut.connect() as wire:
        for name in ("db/password", "api/key", "plain"):
            wire.put(name, f"value of {name}")
    asking = scene.folder / "asking.py"
    asking.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.support.keeper_wire import KeeperWire\n"
        'with KeeperWire(Path(sys.argv[2]), hello={"v": 1, "program": "user/0/resile"}) as wire:\n'
        '    for verb, name in (("read", "plain"), ("read", "api/key"), ("put", "plain"), ("rekey", "")):\n'
        '        print(verb, name, wire.ask(verb, name=name).get("error", {}).get("sort", "ok"))\n'
        '    print(wire.ask("names")["names"], flush=True)\n'
    )
    root = str(Path(__file__).parents[3])
    scene.start("job", argv=(sys.executable, str(asking), root, str(sut.path)))

    assert [line for line in scene.brain.exited("job").tail if "'" in line or "Error" in line] == [
        "read api/key SecretDeniedError",
        "put plain SecretDeniedError",
        "rekey  SecretDeniedError",
        "['db/password', 'plain']",
    ]
