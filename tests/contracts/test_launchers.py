"""What every launcher must do with a box, as root and as a plain user."""

import errno
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import boxes
from tests.support.boxes import PATH, Desk, Ran, Room, box_in, sh

from resile.contain.model import Network
from resile.contain.sandboxes import BindMount, explained
from resile.core.vocabulary import ViolationKind

# How it ends.


def test_exit_code_is_told(run: Callable[..., Ran]) -> None:
    ran = run(*sh("exit 41"))

    assert ran.ended.exit_code == 41
    assert ran.ended.signal_number == 0
    assert not ran.ended.has_survivors


def test_signal_is_told(run: Callable[..., Ran]) -> None:
    ran = run(*sh("kill -SEGV $$"))

    assert ran.ended.exit_code is None
    assert ran.ended.signal_number == signal.SIGSEGV


def test_main_process_gets_a_signal_that_is_sent(run: Callable[..., Ran]) -> None:
    ran = run(
        *sh("trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.01; done"),
        signal_at=("ready", signal.SIGTERM),
    )

    assert ran.stdout == "ready\ngot\n"
    assert ran.ended.exit_code == 7


def test_signal_without_a_handler_ends_it(run: Callable[..., Ran]) -> None:
    """Pid 1 of a namespace ignores such signals; the command is not pid 1."""
    ran = run(*sh("echo ready; sleep 600"), signal_at=("ready", signal.SIGTERM))

    assert ran.ended.signal_number == signal.SIGTERM


def test_survivors_are_told(run: Callable[..., Ran]) -> None:
    ran = run(*sh("setsid sleep 600 > /dev/null 2>&1 & exit 0"))

    assert ran.ended.exit_code == 0
    assert ran.ended.has_survivors


def test_unknown_command_is_told(run: Callable[..., Ran], room: Room) -> None:
    ran = run("no-such-command")

    assert (ran.failed.stage, ran.failed.number) == ("exec", errno.ENOENT)
    assert ran.failed.path == "no-such-command"
    assert "not found" in str(explained(box_in(room, "no-such-command"), ran.failed))


def test_file_that_is_not_executable_is_told(run: Callable[..., Ran], room: Room) -> None:
    ran = run("/etc/passwd")

    assert (ran.failed.stage, ran.failed.number) == ("exec", errno.EACCES)
    assert "not executable" in str(explained(box_in(room, "/etc/passwd"), ran.failed))


def test_missing_folder_is_told(run: Callable[..., Ran], room: Room) -> None:
    ran = run("true", cwd="/no/such/folder")

    assert (ran.failed.stage, ran.failed.number) == ("cwd", errno.ENOENT)
    assert ran.failed.path == "/no/such/folder"
    assert "/no/such/folder" in str(explained(box_in(room, "true"), ran.failed))


def test_missing_workspace_is_told(run: Callable[..., Ran], room: Room) -> None:
    gone = BindMount(source=Path("/no/such"), target=Path("/no/such"), is_writable=True)

    ran = run("true", mounts=(room.overlay(), gone))

    assert isinstance(ran.failed.stage, str)
    assert "/no/such" in f"{ran.failed.path}"


# What it is given.


def test_environment_is_exactly_what_was_given(run: Callable[..., Ran]) -> None:
    given = {"PATH": PATH, "ONE": "a b=c", "EMPTY": "", "LINES": "x\ny", "BYTES": "\udcff"}

    ran = run("env", "-0", env=given)

    assert dict(pair.split("=", 1) for pair in ran.stdout.split("\0") if pair) == given


def test_100_kilobytes_of_environment_arrive(run: Callable[..., Ran]) -> None:
    given = {"PATH": PATH, **{f"V{i}": "x" * 10_000 for i in range(10)}}

    ran = run(*sh("echo ${#V0} ${#V9}"), env=given)

    assert ran.stdout == "10000 10000\n"


def test_input_output_and_errors_are_the_given_ones(run: Callable[..., Ran]) -> None:
    ran = run(*sh("cat; echo out; echo err >&2; ls /proc/self/fd | wc -l"), stdin=b"in\n")

    assert ran.stdout == "in\nout\n4\n"  # 0, 1, 2, and that of ls itself: no other leaks in.
    assert ran.stderr == "err\n"


def test_arguments_arrive_as_they_are(run: Callable[..., Ran]) -> None:
    given = ("", " a b", "c\nd", "$HOME", "\udcfe", "--", "é")

    ran = run("printf", "%s\\0", *given)

    assert tuple(ran.stdout.encode(errors="surrogateescape").split(b"\0")[:-1]) == tuple(
        text.encode(errors="surrogateescape") for text in given
    )


def test_it_leads_a_session_and_keeps_its_user(run: Callable[..., Ran], desk: Desk) -> None:
    ran = run(*sh("ps -o sid= -p $$ | tr -d ' '; echo $$; id -u"))

    sid, pid, uid = ran.stdout.split()
    assert sid == pid
    assert int(uid) == desk.call(boxes.own_uid)


def test_main_pid_is_the_hosts(run: Callable[..., Ran], desk: Desk, launcher: str, room: Room):
    _, pids = desk.call(boxes.start_box, launcher, box_in(room, *sh("echo ready; sleep 600")))

    assert desk.call(boxes.main_pid) in pids
    desk.call(boxes.close_boxes)


def test_limits_of_files_hold(run: Callable[..., Ran]) -> None:
    ran = run(
        *sh("ulimit -n; ulimit -c; head -c 5000 /dev/zero > big; stat -c %s big"),
        files_max=33,
        file_bytes_max=4096,
    )

    assert ran.stdout.split() == ["33", "0", "4096"]


@pytest.mark.parametrize("name", ["a b", "a,b", "a:b", "a\nb", "a\\b", "é", "a'b\"c", "-n"])
def test_any_name_of_a_workspace_works(desk: Desk, launcher: str, name: str) -> None:
    room = desk.call(boxes.make_room, name)

    ran = desk.call(boxes.run_box, launcher, box_in(room, *sh("pwd; cat old; echo x > new")))

    assert ran.stdout == f"{room.workspace}\nold"
    assert ran.upper == ["new"]
    desk.call(boxes.remove_room, room)


# What it can change.


def test_changes_go_to_the_upper_folder(run: Callable[..., Ran], room: Room) -> None:
    ran = run(*sh("echo new > new; rm old; mkdir d; echo x > d/f; ls"))

    assert ran.stdout.split() == ["d", "new"]
    assert ran.upper == ["d", "d/f", "new", "old"]
    assert (room.workspace / "old").read_text() == "old"
    assert boxes.names(room.workspace) == ["old"]


def test_workspace_may_be_shown_elsewhere(run: Callable[..., Ran], room: Room) -> None:
    target = Path("/tmp/elsewhere/ws")

    ran = run(*sh("pwd; cat old"), cwd=str(target), mounts=(room.overlay(target),))

    assert ran.stdout == f"{target}\nold"


def test_bind_is_writable_only_if_it_is_meant_to(run: Callable[..., Ran], room: Room) -> None:
    source = room.workspace
    mounts = [
        BindMount(source=source, target=Path(f"/tmp/{name}"), is_writable=name == "rw")
        for name in ("rw", "ro")
    ]

    ran = run(*sh("echo x > rw/new; echo x > ro/other; cat ro/new"), mounts=mounts, cwd="/tmp")

    assert ran.stdout == "x\n"
    assert boxes.names(source) == ["new", "old"]


@pytest.mark.parametrize(
    "path", ["/etc", "/usr", "/var", "/", "/run", "/dev", "/sys", "/proc/sys/kernel", "/proc"]
)
def test_nothing_outside_the_workspace_can_be_written(run: Callable[..., Ran], path: str) -> None:
    ran = run(*sh(f"echo x > {path}/resile-test; mkdir {path}/resile-folder"))

    assert ran.ended.exit_code != 0
    assert not Path(path, "resile-test").exists()


def test_the_machine_itself_cannot_be_changed(run: Callable[..., Ran]) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()

    ran = run(
        *sh(
            "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/power/state"
            " /sys/fs/cgroup/*/cgroup.procs /proc/self/oom_score_adj;"
            " do (echo 0 > $f) 2>/dev/null && echo written $f; done; true"
        )
    )

    assert ran.stdout == ""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_temporary_folders_are_private_and_empty(run: Callable[..., Ran], room: Room) -> None:
    ran = run(
        *sh("for d in /tmp /var/tmp /dev/shm; do echo x > $d/resile-private; done; ls /var/tmp"),
        mounts=(room.overlay(),),
    )

    assert ran.ended.exit_code == 0
    assert ran.stdout == "resile-private\n"
    assert not any(Path(d, "resile-private").exists() for d in ("/tmp", "/var/tmp", "/dev/shm"))


def test_temporary_folder_has_a_size(run: Callable[..., Ran]) -> None:
    ran = run(*sh("head -c 3000000 /dev/zero > /tmp/big; stat -c %s /tmp/big"), tmp_bytes=1 << 20)

    assert "No space left" in ran.stderr
    assert int(ran.stdout) <= 1 << 20


def test_temporary_folder_has_a_number_of_files(run: Callable[..., Ran], launcher: str) -> None:
    if launcher == "bubblewrap":
        pytest.skip("bubblewrap has no option for it")

    ran = run(
        *sh("for i in $(seq 50); do touch /tmp/$i || break; done; ls /tmp | wc -l"), tmp_files=20
    )

    assert int(ran.stdout) <= 20


# What it can see.


def test_hidden_folders_and_files_are_empty(run: Callable[..., Ran], room: Room) -> None:
    hidden = (room.workspace / "old", Path("/usr/share"), Path("/no/such"))

    ran = run(*sh("cat old; ls /usr/share; (echo x > /usr/share/x) 2>&1"), hidden=hidden)

    assert "old" not in ran.stdout.splitlines()
    assert len(ran.stdout.splitlines()) == 1
    assert ran.upper == []


def test_hidden_folder_above_the_workspace_shows_only_that(
    run: Callable[..., Ran], room: Room
) -> None:
    ran = run(*sh(f"ls {room.folder}; cat old"), hidden=(room.folder,))

    assert ran.stdout == "workspace\nold"


def test_run_and_devices_are_not_the_machines(run: Callable[..., Ran]) -> None:
    ran = run(*sh("ls /run; find /dev -type b; echo x > /dev/null; head -c 2 /dev/zero | wc -c"))

    assert ran.stdout == "2\n"
    assert ran.ended.exit_code == 0


def test_only_what_is_listed_can_be_read(run: Callable[..., Ran]) -> None:
    ran = run(
        *sh("cat /var/lib/dpkg/status | wc -l; cat old; ls /etc/passwd"), readable=(Path("/opt"),)
    )

    assert "denied" in ran.stderr
    assert ran.stdout == "0\nold/etc/passwd\n"


def test_processes_of_the_machine_are_not_seen(run: Callable[..., Ran]) -> None:
    ran = run(*sh("ls -d /proc/[0-9]* | wc -l; cat /proc/1/environ /proc/1/maps"))

    assert int(ran.stdout.splitlines()[0]) < 10
    assert ran.stdout.count("\n") == 1
    assert ran.ended.exit_code != 0


# What it can do.


def test_it_has_no_capability_and_cannot_gain_one(run: Callable[..., Ran]) -> None:
    ran = run("grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status")
    found = dict(line.split(":\t") for line in ran.stdout.splitlines())

    assert {found.pop("NoNewPrivs"), found.pop("Seccomp")} == {"1", "2"}
    assert set(found.values()) == {"0" * 16}


def test_no_network_is_reached_and_the_try_is_told(run: Callable[..., Ran]) -> None:
    ran = run("python3", "-c", CONNECT.format(host="192.0.2.1"))

    assert "unreachable" in ran.stderr
    assert [(v.kind, v.detail) for v in ran.violations] == [
        (ViolationKind.CONNECT, "connect 192.0.2.1:80")
    ]
    assert ran.violations[0].command == "python3"


CONNECT = "import socket; socket.create_connection(('{host}', 80), timeout=5)"
SERVE = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].send(b"hi")).start()
print(socket.create_connection(server.getsockname()).recv(2))
"""


def test_loopback_works_and_is_no_violation(run: Callable[..., Ran]) -> None:
    ran = run("python3", "-c", SERVE)

    assert ran.stdout == "b'hi'\n"
    assert ran.violations == []


def test_network_of_the_host_is_there_if_wanted(run: Callable[..., Ran]) -> None:
    ran = run(*sh("readlink /proc/self/ns/net"), network=Network.HOST)

    assert ran.stdout.strip() == str(Path("/proc/self/ns/net").readlink())


FORBIDDEN = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, result):
    print(name, result, errno.errorcode[ctypes.get_errno()])
tried("mount", libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None))
tried("ptrace", libc.ptrace(16, 1, 0, 0))
tried("unshare", libc.unshare(0x10000000))
tried("setuid", libc.setuid(12345))
"""


def test_forbidden_calls_are_refused_and_told(run: Callable[..., Ran]) -> None:
    ran = run("python3", "-c", FORBIDDEN)

    assert ran.stdout == "".join(
        f"{name} -1 EPERM\n" for name in ("mount", "ptrace", "unshare", "setuid")
    )
    details = [v.detail for v in ran.violations]
    assert details[0] == "mount 'tmpfs' '/mnt' 'tmpfs'"
    assert [d.split()[0] for d in details] == ["mount", "ptrace", "unshare", "setuid"]
    assert {v.source for v in ran.violations} == {"seccomp"}
    assert all(v.pid > 0 for v in ran.violations)


def test_forbidden_calls_are_refused_where_nobody_observes(run: Callable[..., Ran]) -> None:
    ran = run("python3", "-c", FORBIDDEN, is_observed=False)

    assert ran.stdout.count("EPERM") == 4
    assert ran.violations == []


@pytest.mark.parametrize(
    "command",
    [
        "python3 -c 'import json, threading; threading.Thread(target=print).start()'",
        "echo 'int main(void){return 0;}' > a.c && cc a.c -o a && ./a",
        "git init -q . && git add -A && git -c user.name=a -c user.email=b commit -qm c",
        'node -e \'require("fs").writeFileSync("x", "y"); console.log(1)\'',
        "python3 -c 'import subprocess; subprocess.run([\"true\"], check=True)'",
        "bash -c 'cat <(echo a) | sort; echo x > /dev/stderr'",
        "tar cf a.tar old && tar xf a.tar && gzip old && perl -e 'print 1'",
        "getent passwd root; hostname; id; who; true",
    ],
)
def test_ordinary_programs_work_without_a_violation(run: Callable[..., Ran], command: str) -> None:
    program = command.split(maxsplit=1)[0]
    if not any(Path(folder, program).exists() for folder in PATH.split(":")) and program != "echo":
        pytest.skip(f"no {program} here")

    ran = run("bash", "-c", command, env={"PATH": PATH, "HOME": "/tmp"})

    assert ran.violations == []
    assert ran.ended.exit_code == 0, ran.stderr


FLOOD = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(sum(libc.umount2(b"/mnt", 0) for _ in range(1500)))
"""


def test_flood_of_forbidden_calls_is_answered_but_not_all_told(run: Callable[..., Ran]) -> None:
    ran = run("python3", "-c", FLOOD)

    assert ran.stdout == "-1500\n"
    assert len(ran.violations) == 100
