"""`resile run` and what goes with it, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_cgroups
RESILE = Path(sys.executable).with_name("resile")


class Shell:
    """A folder in which a user types."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        (self.work / "notes.txt").write_text("one\n")
        self.env = {**os.environ, "RESILE_RUNS_DIR": str(folder / "state" / "runs")}

    def start(self, *words: str, **options) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [RESILE, *words],
            cwd=self.work,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RESILE, *words],
            cwd=self.work,
            env=self.env,
            text=True,
            input=stdin,
            capture_output=True,
            timeout=50,
            check=False,
        )

    def runs(self) -> list[dict]:
        return json.loads(self("runs", "--json").stdout)["runs"]

    def files(self) -> dict[str, str]:
        return {p.name: p.read_text() for p in sorted(self.work.iterdir()) if p.is_file()}


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def wait_until(condition, what):
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def test_what_ends_well_is_committed(shell):
    done = shell("run", "--", "sh", "-c", "cat >> notes.txt; echo out; echo err >&2", stdin="two\n")

    assert (done.returncode, done.stdout) == (0, "out\n")
    assert "err\n" in done.stderr
    assert "1 change committed" in done.stderr
    assert shell.files() == {"notes.txt": "one\ntwo\n"}


def test_options_of_the_command_are_its_own(shell):
    done = shell("run", "--profile", "build", "sh", "-c", 'echo "$@"', "name", "--json", "-h")

    assert done.stdout == "--json -h\n", done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--", "sh", "-c", "exit 42"), 42, "undone"),
        (("--", "no-such-command"), 127, "command not found"),
        (("--", "./notes.txt"), 126, "not executable"),
        (("--time", "200ms", "--grace", "0s", "--", "sleep", "60"), 124, "TIMEOUT"),
        (("--output", "1KiB", "--", "yes"), 122, "--output"),
        (("--memory", "32MiB", "--", sys.executable, "-c", "bytearray(1 << 30)"), 122, "--memory"),
        (("--", "sh", "-c", "kill -SEGV $$"), 139, "memory_violation"),
    ],
)
def test_exit_code_and_message_say_what_happened(shell, words, code, text):
    done = (
        shell("run", *words)
        if words[1] != "sh" or code != 42
        else shell("run", "--", "sh", "-c", "echo x > f; exit 42")
    )

    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert shell.files() == {"notes.txt": "one\n"}
    assert "Traceback" not in done.stderr


def test_answer_for_machines(shell):
    done = shell("run", "--json", "--", "sh", "-c", "echo hi; rm notes.txt; exit 3")

    answer = json.loads(done.stdout)
    assert done.returncode == 3
    assert answer["reason"] == "exit"
    assert answer["code"] == "OK"
    assert answer["stdout"] == "hi\n"
    assert answer["workspaces"][0]["changes"][0]["kind"] == "deleted"
    assert answer["state"] == "discarded"
    assert answer["usage"]["time_s"] > 0


def test_changes_are_looked_at_and_committed_in_parts(shell):
    asked = shell("run", "--commit", "ask", "--", "sh", "-c", "echo two >> notes.txt; echo x > new")
    assert asked.returncode == 0
    assert "resile diff" in asked.stderr

    diff = shell("diff", "last")
    assert "+two" in diff.stdout
    assert "~ notes.txt" in diff.stdout
    assert [r["state"] for r in shell.runs()] == ["ready"]
    assert shell("commit", "last", "new").stdout.endswith(": 1 change committed\n")
    assert shell.files() == {"new": "x\n", "notes.txt": "one\n"}
    assert shell("discard", "last").returncode == 0
    assert shell.files() == {"new": "x\n", "notes.txt": "one\n"}
    assert shell.runs() == []


def test_conflict_has_its_exit_code_and_loses_nothing(shell):
    shell("run", "--commit", "ask", "--", "sh", "-c", "echo two >> notes.txt")
    (shell.work / "notes.txt").write_text("mine\n")

    done = shell("commit", "last")

    assert done.returncode == 7
    assert "notes.txt" in done.stderr
    assert shell.files() == {"notes.txt": "mine\n"}
    assert len(shell.runs()) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run",), "COMMAND"),
        (("run", "--time", "soon", "--", "true"), "duration"),
        (("run", "--memory", "1000%%", "--", "true"), "share"),
        (("run", "--memory", "200%", "--", "true"), "0% to 100%"),
        (("run", "--cpu", "900000%", "--", "true"), "cores"),
        (("run", "--profile", "nobody", "--", "true"), "strict"),
        (("run", "--workspace", "missing", "--", "true"), "missing"),
        (("run", "--env", "NOT_SET_ANYWHERE", "--", "true"), "NOT_SET_ANYWHERE"),
        (("diff", "nothing"), "resile runs"),
        (("commit", "nothing"), "resile runs"),
        (("runs", "nothing"), "resile runs --all"),
        (("runs", "last"), "resile runs --all"),
        (("diff", "last"), "resile runs"),
        (("kill", "last"), "resile runs"),
        (("kill",), "--all"),
        (("kill", "--all", "x"), "--all"),
        (("kill", "--hold", "x"), "resile kill --all --hold"),
        (("kill", "--all", "--why", "x"), "--hold"),
    ],
)
def test_wrong_input_is_told_with_a_hint(shell, words, text):
    done = shell(*words)

    assert done.returncode in (1, 2), done
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert shell.runs() == []


def test_run_that_is_closed_is_shown_with_what_it_used_of_its_limits(shell):
    assert shell("run", "--time", "20s", "--", "sh", "-c", "exit 3").returncode == 3

    shown = shell("runs", "last")
    data = json.loads(shell("runs", "last", "--json").stdout)

    assert shell("runs").stdout == "no run is open; `resile runs --all` lists others\n"
    assert data["id"] in shell("runs", "--all").stdout
    assert data["limits"]["time_s"] == 20
    assert (data["exit_code"], data["state"]) == (3, "discarded")
    time_row = next(line for line in shown.stdout.splitlines() if line.startswith("time"))
    assert "20s" in time_row
    assert "the run ended, exit" in shown.stdout


def test_run_is_killed_by_another_command(shell):
    running = shell.start("run", "--time", "5m", "--", "sh", "-c", "echo x > f; sleep 300")
    wait_until(lambda: [r["state"] for r in shell.runs()] == ["running"], "the run")

    killed = shell("kill", "--all")

    _, err = running.communicate(timeout=30)
    assert killed.returncode == 0
    assert running.returncode == 137
    assert "killed by" in err
    assert shell.files() == {"notes.txt": "one\n"}


def test_emergency_shutdown_holds_new_runs_until_they_are_resumed(shell):
    running = shell.start("run", "--time", "5m", "--", "sh", "-c", "echo x > f; sleep 300")
    wait_until(lambda: [r["state"] for r in shell.runs()] == ["running"], "the run")

    killed = shell("kill", "--all", "--hold", "--why", "agents run wild")
    running.communicate(timeout=30)
    refused = shell("run", "--", "sh", "-c", "echo x > f")

    assert (killed.returncode, running.returncode, refused.returncode) == (0, 137, 3)
    assert "until `resile resume`" in killed.stdout
    assert "agents run wild" in refused.stderr
    assert "resile resume" in refused.stderr
    assert "agents run wild" in shell("runs").stderr
    assert json.loads(shell("runs", "--json").stdout)["held"]["why"] == "agents run wild"
    assert shell.files() == {"notes.txt": "one\n"}

    assert "may begin again" in shell("resume").stdout
    assert "were not held" in shell("resume").stdout
    assert shell("run", "--", "true").returncode == 0


@pytest.mark.parametrize("way", ["file", "variable"])
def test_runs_that_are_switched_off_are_refused_and_not_run_without_a_sandbox(shell, way):
    (shell.work / "resile.toml").write_text("[resile]\n")
    if way == "file":
        (shell.work / "resile.toml").write_text("[contain]\nenabled = false\n")
    else:
        shell.env["RESILE_CONTAIN__ENABLED"] = "false"

    done = shell("run", "--", "sh", "-c", "echo x > f")

    assert done.returncode == 3
    assert "switched off" in done.stderr
    assert "enabled = true" in done.stderr
    assert not (shell.work / "f").exists()


def test_ctrl_c_ends_the_run_and_undoes_it(shell):
    running = shell.start("run", "--time", "5m", "--", "sh", "-c", "echo x > f; sleep 300")
    wait_until(lambda: [r["state"] for r in shell.runs()] == ["running"], "the run")

    running.send_signal(signal.SIGINT)

    _, err = running.communicate(timeout=30)
    assert running.returncode == 137
    assert "SIGINT" in err
    assert shell.files() == {"notes.txt": "one\n"}
    assert shell.runs() == []


def test_run_whose_supervisor_is_killed_is_recovered(shell):
    running = shell.start("run", "--time", "5m", "--", "sh", "-c", "echo x > f; sleep 300")
    wait_until(lambda: [r["state"] for r in shell.runs()] == ["running"], "the run")

    running.kill()
    running.communicate(timeout=30)
    recovered = shell("recover", "--json")

    assert [item["did"] for item in json.loads(recovered.stdout)["recovered"]] == ["undone"]
    assert shell.files() == {"notes.txt": "one\n"}
    assert shell.runs() == []
    assert "nothing was left" in shell("recover").stdout


def test_run_inside_of_a_run_is_refused_clearly(shell):
    done = shell("run", "--profile", "build", "--", str(RESILE), "run", "--", "true")

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "hint" in done.stderr


def test_own_profile_is_taken_from_the_configuration(shell):
    (shell.work / "resile.toml").write_text(
        '[contain.profile.tiny]\ntime = "200ms"\ngrace = "0s"\nprotected = ["notes.txt"]\n'
    )

    late = shell("run", "--profile", "tiny", "--", "sleep", "60")
    trap = shell("run", "--profile", "tiny", "--time", "20s", "--", "sh", "-c", "echo >> notes.txt")

    assert late.returncode == 124, late.stderr
    assert "protected_path" in trap.stderr
    assert [r["state"] for r in shell.runs()] == ["ready"]
