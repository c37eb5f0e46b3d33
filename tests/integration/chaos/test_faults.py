"""Each fault on real processes, files and groups: it is active, and then it is gone."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tests.integration.chaos.conftest import Stage

from resile.chaos.faults.bits import BitFlip
from resile.errors import ConfigError, RejectedError
from resile.health import read_stat


def pid_of(process):
    return f"pid/{process.pid}"


# Processes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("process.kill", signal.SIGKILL),
        ("process.stop", signal.SIGTERM),
        ("process.segv", signal.SIGSEGV),
    ],
)
def test_a_process_ends_by_the_signal(stage, child, fault, number):
    record = stage.inject(fault, pid_of(child))

    stage.active(record)
    assert child.wait(timeout=20) == -number
    stage.end(record)


def test_a_memory_violation_on_purpose_leaves_no_core(stage, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    child = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    resource.prlimit(child.pid, resource.RLIMIT_CORE, (hard, hard))
    try:
        stage.end(stage.inject("process.segv", pid_of(child)))
        _, status = os.waitpid(child.pid, 0)
    finally:
        child.kill()

    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)


def test_a_hang_stops_a_process_and_its_end_lets_it_go_on(stage, child):
    record = stage.inject("process.hang", pid_of(child))

    stage.active(record)
    assert read_stat(child.pid).state == "T"
    stage.end(record)
    assert read_stat(child.pid).state == "S"


def test_a_hang_whose_process_died_is_gone(stage, child):
    record = stage.inject("process.hang", pid_of(child))
    child.kill()
    child.wait()

    stage.end(record)


@pytest.mark.parametrize(
    "pid", [1, os.getpid(), os.getppid(), 2**22 - 1], ids=["init", "itself", "parent", "none"]
)
def test_what_is_not_ours_is_not_hit(stage, pid):
    with pytest.raises(RejectedError):
        stage.inject("process.hang", f"pid/{pid}")


def test_a_process_of_somebody_else_is_hit_only_when_that_is_allowed(stage, child):
    code = "import subprocess; p = subprocess.Popen(['sleep', '300'], stdout=-3, stderr=-3); print(p.pid)"
    orphan = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    )
    try:
        with pytest.raises(RejectedError, match="none of this system"):
            stage.inject("process.hang", f"pid/{orphan}")
        allowed = Stage(replace(stage.host, is_outside_allowed=True))
        record = allowed.inject("process.hang", f"pid/{orphan}")
        allowed.active(record)
        allowed.end(record)
    finally:
        os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize("target", ["", "service/", "api", "pid/x", "service/none"])
def test_a_target_that_names_nothing_is_wrong(stage, target):
    with pytest.raises(ConfigError):
        stage.inject("process.kill", target)


def test_a_process_without_descriptors_left_opens_nothing_more(stage, tmp_path):
    code = (
        "import sys\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        open('/dev/null').close(); print('opened', flush=True)\n"
        "    except OSError as exc:\n"
        "        print(exc.errno, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def asked():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert asked() == "opened"
        record = stage.inject("descriptors.exhaust", pid_of(process))
        stage.active(record)
        assert asked() == str(errno.EMFILE)
        stage.end(record)
        assert asked() == "opened"
        process.stdin.close()


# The machine's processor and memory ---------------------------------------------------------------


def test_processors_are_kept_busy_by_processes_that_end(stage):
    record = stage.inject("cpu.burn", cores=2)

    stage.active(record)
    carriers = stage.host.carriers.living(record.fault_id)
    assert len(carriers) == 2
    stage.end(record)
    assert stage.host.carriers.living(record.fault_id) == ()


def test_memory_is_taken_and_given_back(stage):
    record = stage.inject("memory.pressure", size="48MiB")

    assert "taken" in stage.active(record).detail
    stage.end(record)


def test_memory_that_leaks_is_taken_bit_by_bit_and_proven_by_its_beginning(stage):
    size_bytes = 256 << 20
    record = stage.inject("memory.pressure", size="256MiB", within="60s")

    assert "taken" in stage.active(record).detail
    (carrier,) = stage.host.carriers.living(record.fault_id)
    stat = read_stat(carrier.pid)
    assert stat is not None
    assert stat.rss_bytes < size_bytes / 2
    stage.end(record)


def test_memory_that_the_machine_needs_is_not_taken(stage):
    with pytest.raises(RejectedError, match="free on this machine"):
        stage.inject("memory.pressure", size="1TiB")


# Disks --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False)
    if done.returncode != 0:
        pytest.skip("this container may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_takes_nothing_more_and_has_its_room_again(stage, small_disk):
    record = stage.inject("disk.full", str(small_disk))

    stage.active(record)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "new").write_bytes(bytes(1 << 20))
    (small_disk / "new").unlink()
    stage.end(record)
    assert list(small_disk.iterdir()) == []
    (small_disk / "new").write_bytes(bytes(1 << 20))


def test_a_nearly_full_disk_keeps_what_was_asked(stage, small_disk):
    record = stage.inject("disk.full", str(small_disk), left="2MiB")

    stage.active(record)
    (small_disk / "new").write_bytes(bytes(1 << 20))
    stage.end(record)


def test_a_large_disk_is_not_filled_by_mistake(stage, tmp_path):
    with pytest.raises(RejectedError, match="more than 1MiB"):
        stage.inject("disk.full", str(tmp_path), most="1MiB")


@pytest.mark.parametrize("target", ["none", "state.txt"])
def test_only_a_folder_can_be_full(stage, tmp_path, target):
    (tmp_path / "state.txt").write_text("x")

    with pytest.raises(ConfigError):
        stage.inject("disk.full", target)


CONTENT = bytes(range(256)) * 8


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    return path


@pytest.mark.parametrize("offset", [-1, 0, len(CONTENT) - 1])
def test_a_bit_is_flipped_and_flipped_back_and_the_times_tell_nothing(stage, file, offset):
    record = stage.inject("disk.bitflip", "data.bin", offset=offset, bit=3)

    stage.active(record)
    flipped = file.read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(flipped, CONTENT, strict=True)) == 1
    assert file.stat().st_mtime_ns == 2_000_000_000
    stage.end(record)
    assert file.read_bytes() == CONTENT
    assert file.stat().st_mtime_ns == 2_000_000_000


def test_a_flip_that_was_cut_before_the_times_were_put_back_is_undone(stage, file):
    record = stage.inject("disk.bitflip", "data.bin")
    os.utime(file)

    stage.end(record)
    assert file.read_bytes() == CONTENT


def test_a_flip_that_was_cut_before_it_was_done_is_gone(stage, file):
    record = stage.inject("disk.bitflip", "data.bin")
    BitFlip().undo(record, stage.host)

    stage.end(record)
    assert file.read_bytes() == CONTENT


def test_content_that_somebody_else_wrote_is_left_alone(stage, file):
    record = stage.inject("disk.bitflip", "data.bin")
    ours = file.read_bytes()
    theirs = bytes([ours[0]]) + bytes(len(ours) - 1)
    file.write_bytes(theirs)

    stage.end(record)
    assert file.read_bytes() == theirs


def test_a_file_that_was_removed_meanwhile_needs_nothing(stage, file):
    record = stage.inject("disk.bitflip", "data.bin")
    file.unlink()

    stage.end(record)
    assert not file.exists()


@pytest.mark.parametrize("options", [{"offset": len(CONTENT)}, {"offset": 10**9}])
def test_a_byte_that_is_not_there_is_wrong_input(stage, file, options):
    with pytest.raises(ConfigError, match="bytes only"):
        stage.inject("disk.bitflip", "data.bin", **options)


def test_files_elsewhere_are_not_hit(stage):
    with pytest.raises(RejectedError, match="is not in"):
        stage.inject("disk.bitflip", "/etc/hostname")
    with pytest.raises(ConfigError, match="no file with content"):
        stage.inject("disk.bitflip", ".")


# System calls -------------------------------------------------------------------------------------

SYNCS = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("up", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    try:
        os.fsync(fd); print("synced", time.monotonic() - began, flush=True)
    except OSError as exc:
        print(exc.errno, flush=True)
"""


@pytest.fixture
def syncing(stage, tmp_path):
    if why := stage.host.faults["disk.errno"].obstacle(stage.host):
        pytest.skip(why)
    with subprocess.Popen(
        [sys.executable, "-c", SYNCS, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()

        def asked():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().split()

        yield process, asked
        process.stdin.close()


def asked_until(asked, fits):
    deadline_s = time.monotonic() + 20
    while not fits(answer := asked()):
        assert time.monotonic() < deadline_s, answer
        time.sleep(0.02)


def test_syncs_fail_and_work_again(stage, syncing):
    process, asked = syncing
    assert asked()[0] == "synced"
    record = stage.inject("disk.errno", pid_of(process), error="EIO")

    asked_until(asked, lambda answer: answer == [str(errno.EIO)])
    stage.active(record)
    stage.end(record)
    assert asked()[0] == "synced"


def test_syncs_take_long_and_are_quick_again(stage, syncing):
    process, asked = syncing
    record = stage.inject("disk.delay", pid_of(process), latency="300ms")

    asked_until(asked, lambda answer: float(answer[1]) >= 0.3)
    stage.active(record)
    stage.end(record)
    assert float(asked()[1]) < 0.3


def test_tracing_ends_with_its_time_though_nobody_ends_it(stage, syncing):
    process, asked = syncing
    record = stage.inject("disk.errno", pid_of(process), ttl_s=1.5)
    asked_until(asked, lambda answer: answer == [str(errno.EIO)])

    asked_until(asked, lambda answer: answer[0] == "synced")
    stage.end(record)


def test_a_process_that_is_traced_already_is_left_alone(stage, syncing):
    process, asked = syncing
    record = stage.inject("disk.errno", pid_of(process))
    asked_until(asked, lambda answer: answer == [str(errno.EIO)])

    with pytest.raises(RejectedError, match="traced already"):
        stage.inject("disk.delay", pid_of(process), latency="1s")
    stage.end(record)


@pytest.mark.parametrize(
    "options", [{"call": "fsync;rm"}, {"path": "relative"}, {"ttl_s": 301.0}, {"call": ""}]
)
def test_what_strace_would_not_do_is_refused(stage, syncing, options):
    with pytest.raises(ConfigError):
        stage.inject("disk.errno", pid_of(syncing[0]), **options)
