"""Cores of real programs, read by their notes alone and by gdb."""

import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from resile.core.spawning import Completed
from resile.daemon.core_notes import CoreNotes, read_core_notes
from resile.daemon.core_summary import CoreSummaries
from resile.errors import SpawnError

CRASH = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(0.05)
ctypes.string_at(0x10)
"""
PATTERN = Path("/proc/sys/kernel/core_pattern")
PATIENCE_S = 60


def _allow_core() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if PATTERN.read_text().startswith(("|", "/")):
        pytest.skip("cores of this machine go elsewhere")
    folder = tmp_path_factory.mktemp("core")
    done = subprocess.run(
        [sys.executable, "-S", "-c", CRASH],
        cwd=folder,
        preexec_fn=_allow_core,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == -signal.SIGSEGV
    found = list(folder.iterdir())
    if not found:
        pytest.skip("this machine writes no cores")
    return found[0]


@pytest.fixture(scope="module")
def notes(core: Path) -> CoreNotes:
    read = read_core_notes(core)
    assert read is not None
    return read


def test_signal_and_address_are_read(notes: CoreNotes) -> None:
    assert (notes.signal, notes.address) == ("SIGSEGV", "0x10")


def test_threads_are_counted_and_each_tells_its_place(notes: CoreNotes) -> None:
    assert notes.threads_count == 2
    assert all("+0x" in thread.at for thread in notes.threads)
    assert {"rip", "pc"} & set(notes.threads[0].registers)


def test_program_and_its_libraries_are_named(notes: CoreNotes) -> None:
    assert "python" in Path(notes.program).name
    assert any("libc" in path for path in notes.files)


def test_cut_core_is_read_as_far_as_it_goes_or_not_at_all(core: Path, tmp_path: Path) -> None:
    whole = core.read_bytes()[: 1 << 16]
    for size in (*range(0, 4096, 61), *range(4096, len(whole), 4099)):
        path = tmp_path / "core"
        path.write_bytes(whole[:size])

        read_core_notes(path)


def test_damaged_core_is_no_error(core: Path, tmp_path: Path) -> None:
    whole = bytearray(core.read_bytes()[: 1 << 16])
    path = tmp_path / "core"
    for at in (*range(64), *range(64, len(whole), 997)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)

        read_core_notes(path)


@pytest.mark.parametrize("head", [b"", b"import sys\n", b"\x7fELF\1\1\1" + bytes(57)])
def test_what_is_no_core_has_no_notes(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "core"
    path.write_bytes(head)

    assert read_core_notes(path) is None
    assert CoreSummaries().of(path) is None


def test_program_is_no_core() -> None:
    assert read_core_notes(Path(sys.executable).resolve()) is None


def test_link_to_a_core_is_not_followed(core: Path, tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(core)

    assert read_core_notes(tmp_path / "core") is None


def test_core_with_more_headers_than_their_count_can_tell_is_read(
    core: Path, tmp_path: Path
) -> None:
    """Where there are more than 65534, their number stands in the first section header."""
    whole = bytearray(core.read_bytes())
    (count,) = struct.unpack_from("<H", whole, 56)
    struct.pack_into("<H", whole, 56, 0xFFFF)
    struct.pack_into("<Q", whole, 40, len(whole))
    section = bytearray(64)
    struct.pack_into("<I", section, 44, count)
    path = tmp_path / "core"
    path.write_bytes(whole + section)

    read = read_core_notes(path)

    assert read is not None
    assert read.threads_count == 2


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_gdb_tells_the_stack_of_each_thread(core: Path) -> None:
    summary = CoreSummaries().of(core)

    assert summary is not None
    assert summary["signal"] == "SIGSEGV"
    threads = [line for line in summary["backtrace"] if line.startswith("Thread ")]
    assert len(threads) == 2


def test_core_is_summed_up_without_gdb(core: Path) -> None:
    def refuse(*_args: object, **_options: object) -> Completed:
        raise SpawnError("there is no gdb")

    summary = CoreSummaries(refuse).of(core)

    assert summary is not None
    assert (summary["signal"], summary["backtrace"]) == ("SIGSEGV", ())


def test_only_one_core_at_a_time_is_given_to_gdb(core: Path) -> None:
    asked = []

    def run(argv: tuple[str, ...], **_options: object) -> Completed:
        asked.append(argv)
        inner = summaries.of(core)
        assert inner is not None
        assert inner["backtrace"] == ()
        return Completed(exit_code=0, output=b"#0  main ()\nnoise\n")

    summaries = CoreSummaries(run, turn_timeout_s=0.0)
    summary = summaries.of(core)

    assert summary is not None
    assert summary["backtrace"] == ["#0  main ()"]
    assert len(asked) == 1
    assert asked[0][:3] == ("gdb", "-batch", "-nx")
    assert os.fspath(core) == asked[0][-1]
