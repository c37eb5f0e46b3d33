"""Crash bundles: what they hold, how many stay, and what a full disk may cost."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resile.core.vocabulary import EndKind
from resile.daemon.autopsy import Autopsy
from resile.daemon.core_summary import CoreSummaries
from resile.daemon.crashes import KEPT_WHEN_PRUNED, Crash, Crashes
from resile.daemon.protocol import Exited
from resile.daemon.stacks import ProcessStack
from resile.health.ends import Explanation, read_last_words
from resile.incidents import Problem
from resile.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def crash(second: int = 0, **fields: object) -> Exited:
    return Exited(
        service="api",
        generation=second + 1,
        pid=7,
        signal="SIGSEGV",
        at=NOW + timedelta(seconds=second),
        tail=("one", "two"),
        **fields,  # type: ignore[arg-type]
    )


def crashes(
    tmp_path: Path,
    *,
    keep: int = 50,
    core_pattern: str = "core",
    summaries: CoreSummaries | None = None,
) -> Crashes:
    pattern = tmp_path / "core_pattern"
    pattern.write_text(f"{core_pattern}\n")
    folder = tmp_path / "service"
    folder.mkdir(exist_ok=True)
    return Crashes(
        tmp_path,
        folders={"api": str(folder)},
        keep=keep,
        clock=FakeClock(NOW),
        core_pattern=pattern,
        summaries=summaries,
    )


def dumped(tmp_path: Path, second: int) -> Exited:
    """Give a crash that left a core in the service's folder."""
    exited = crash(second, core_dumped=True)
    path = tmp_path / "service" / f"core.{exited.generation}"
    path.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\4\0")
    at_s = NOW.timestamp() - 10 + second
    os.utime(path, (at_s, at_s))
    return exited


def cores(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "service").iterdir())


def written(folder: Crashes, exited: Exited, **known: Any) -> Path:
    path = folder.path_for(exited)
    words = read_last_words(exited.tail, exit_code=exited.exit_code, signal=exited.signal)
    why = Explanation(kind=EndKind.MEMORY_VIOLATION, text="killed by SIGSEGV: why")
    autopsy = Autopsy(explanation=why, words=words, fingerprint="abc")
    folder.write(Crash(exited=exited, autopsy=autopsy, **known), path)
    return path


def test_bundle_holds_the_end_and_the_last_lines(tmp_path: Path) -> None:
    path = written(crashes(tmp_path), crash())

    bundle = json.loads(path.read_text())
    assert bundle["exit"]["signal"] == "SIGSEGV"
    assert bundle["last_lines"] == ["one", "two"]
    assert bundle["core"] == ""
    assert bundle["why"] == {
        "kind": "memory_violation",
        "text": "killed by SIGSEGV: why",
        "is_graceful": False,
    }
    assert (bundle["trace"], bundle["problem"], bundle["stacks"]) == (None, None, [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_bundle_holds_the_stack_trace_and_how_often_it_has_happened(tmp_path: Path) -> None:
    lines = ("Fatal Python error: Aborted", "", "Current thread 0x1 (most recent call first):")
    lines += ('  File "/srv/app.py", line 7 in work',)
    problem = Problem(
        service="api", fingerprint="abc", count=3, first_at=NOW, last_at=NOW, text="why"
    )
    stack = ProcessStack(
        pid=7, name="api", threads_count=1, fds_count=None, memory_bytes=None, threads=()
    )

    path = written(
        crashes(tmp_path), replace(crash(), tail=lines), problem=problem, stacks=(stack,)
    )

    bundle = json.loads(path.read_text())
    assert bundle["trace"]["lines"] == list(lines)
    assert bundle["frames"] == ["srv/app.py:work"]
    assert bundle["problem"]["count"] == 3
    assert bundle["stacks"][0]["name"] == "api"


class Summaries(CoreSummaries):
    """Sums up whatever it is given."""

    def of(self, path: Path) -> dict[str, Any]:
        return {"signal": "SIGSEGV", "of": path.name}


def test_what_a_core_tells_is_added_to_its_bundle(tmp_path: Path) -> None:
    folder = crashes(tmp_path, summaries=Summaries())
    path = written(folder, dumped(tmp_path, 0))
    assert json.loads(path.read_text())["core_summary"] is None

    folder.add_core_summary(path)

    bundle = json.loads(path.read_text())
    assert bundle["core_summary"] == {"signal": "SIGSEGV", "of": "core.1"}
    assert bundle["last_lines"] == ["one", "two"]


def test_the_core_of_another_process_is_not_told(tmp_path: Path) -> None:
    class Others(Summaries):
        def of(self, path: Path) -> dict[str, Any]:
            return {"signal": "SIGABRT", "of": path.name}

    folder = crashes(tmp_path, summaries=Others())
    path = written(folder, dumped(tmp_path, 0))

    folder.add_core_summary(path)

    assert json.loads(path.read_text())["core_summary"] is None


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"core_file": null}'])
def test_nothing_is_added_to_a_bundle_without_a_core(tmp_path: Path, text: str | None) -> None:
    folder = crashes(tmp_path, summaries=Summaries())
    path = tmp_path / "bundle.json"
    if text is not None:
        path.write_text(text)

    folder.add_core_summary(path)

    assert (path.read_text() if path.exists() else None) == text


def test_oldest_bundles_go_when_there_are_too_many(tmp_path: Path) -> None:
    folder = crashes(tmp_path, keep=2)

    paths = [written(folder, crash(second)) for second in range(4)]

    assert sorted(path.name for path in (tmp_path / "crashes").iterdir()) == sorted(
        path.name for path in paths[2:]
    )


def test_prune_takes_rotated_logs_and_leaves_the_newest_bundles(tmp_path: Path) -> None:
    folder = crashes(tmp_path)
    for second in range(KEPT_WHEN_PRUNED + 3):
        written(folder, crash(second))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").write_text("now")
    (tmp_path / "logs" / "api.log.1").write_text("before" * 1000)
    (tmp_path / "logs" / "odd.log.d").mkdir()

    told = folder.prune()

    assert told.startswith("freed ")
    assert not (tmp_path / "logs" / "api.log.1").exists()
    assert (tmp_path / "logs" / "api.log").exists()
    assert len(list((tmp_path / "crashes").iterdir())) == KEPT_WHEN_PRUNED


def test_bundle_is_left_out_when_there_is_no_room_for_it(tmp_path: Path) -> None:
    (tmp_path / "crashes").write_text("a file where the folder should be")

    path = written(crashes(tmp_path), crash())

    assert not path.exists()


def test_bundle_without_room_takes_its_core_along(tmp_path: Path) -> None:
    """What no bundle names would never be pruned."""
    (tmp_path / "crashes").write_text("a file where the folder should be")

    written(crashes(tmp_path), dumped(tmp_path, 0))

    assert cores(tmp_path) == []


def test_bundle_names_the_core(tmp_path: Path) -> None:
    folder = crashes(tmp_path)

    bundle = json.loads(written(folder, dumped(tmp_path, 0)).read_text())

    assert bundle["core"] == str(tmp_path / "service" / "core.1")
    assert bundle["core_file"]["path"] == bundle["core"]


def test_bundle_names_the_program_that_took_the_core(tmp_path: Path) -> None:
    folder = crashes(tmp_path, core_pattern="|/usr/lib/systemd/systemd-coredump %P")

    bundle = json.loads(written(folder, dumped(tmp_path, 0)).read_text())

    assert bundle["core"] == "handed to /usr/lib/systemd/systemd-coredump %P"
    assert bundle["core_file"] is None


def test_oldest_cores_go_with_their_bundles(tmp_path: Path) -> None:
    folder = crashes(tmp_path, keep=2)

    for second in range(4):
        written(folder, dumped(tmp_path, second))

    assert cores(tmp_path) == ["core.3", "core.4"]


def test_prune_takes_the_cores_of_the_bundles_that_it_takes(tmp_path: Path) -> None:
    folder = crashes(tmp_path)
    for second in range(KEPT_WHEN_PRUNED + 2):
        written(folder, dumped(tmp_path, second))

    folder.prune()

    assert len(cores(tmp_path)) == KEPT_WHEN_PRUNED
    assert {"core.1", "core.2"}.isdisjoint(cores(tmp_path))


def test_dropping_a_bundle_leaves_a_file_that_it_does_not_name_as_it_is(tmp_path: Path) -> None:
    folder = crashes(tmp_path, keep=1)
    written(folder, dumped(tmp_path, 0))
    (tmp_path / "service" / "core.1").write_text("somebody's own by now")

    written(folder, crash(1))

    assert cores(tmp_path) == ["core.1"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "not json", '{"core": "/etc/passwd"}', '{"core_file": null}']
)
def test_bundle_that_names_no_core_goes_alone(tmp_path: Path, text: str) -> None:
    folder = crashes(tmp_path, keep=1)
    old = written(folder, dumped(tmp_path, 0))
    old.write_text(text)
    os.utime(old, (0, 0))

    written(folder, crash(1))

    assert not old.exists()
    assert cores(tmp_path) == ["core.1"]
