"""`resile drill report`: a drill, told again from the journal without a daemon."""

import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.drill.stories import CRASH, HANG, drill, proved

from resile.cli.drill_past import read_past
from resile.core.events import DrillProved
from resile.core.journal import open_journal
from resile.core.vocabulary import DrillVerdict

V = DrillVerdict
TEXT = """
[resile]
name = "shop"

[service.api]
command = ["python", "-c", "pass"]
live = { http = "http://127.0.0.1:1/livez" }

[drill]
exclude = ["segv", "crash_loop", "cpu", "descriptors", "brain", "run"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "resile.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drills(folder: Path) -> Path:
    now = datetime.now(UTC)
    first = [proved(CRASH, drill="drl_1aaa"), proved(HANG, drill="drl_1aaa")]
    second = [
        proved(CRASH, drill="drl_2bbb", acked=80, lost=0),
        proved(HANG, V.SLOW, drill="drl_2bbb", why="well after 14s, 10s allowed"),
    ]
    journal = open_journal(folder / ".resile" / "journal")
    journal.append(*drill("drl_1aaa", now - timedelta(hours=3), *first))
    journal.append(*drill("drl_2bbb", now - timedelta(hours=1), *second))
    journal.close()
    return folder


def test_without_a_journal_nothing_can_be_told(resile, folder):
    done = resile("drill", "report")

    assert done.code == 4
    assert "journal" in done.err


def test_drill_that_is_not_there_is_told_with_the_last_one(resile, drills):
    done = resile("drill", "report", "drl_9")

    assert done.code == 2
    assert "there is no drill 'drl_9'" in done.err
    assert "the last one is drl_2bbb" in done.err


def test_id_that_is_meant_twice_is_refused(resile, drills):
    assert "more than one drill is 'drl_'" in resile("drill", "report", "drl_").err


@pytest.mark.parametrize("words", [("report",), ("--yes",)])
def test_report_cannot_be_written_into_a_folder_that_is_not_there(resile, drills, words):
    done = resile("drill", *words, "--html", "nowhere/report.html")

    assert done.code == 2
    assert "no file can be made in nowhere" in done.err


def test_no_report_takes_the_place_of_what_is_no_file(resile, drills):
    os.mkfifo(drills / "pipe")
    (drills / "link").symlink_to("pipe")

    for name in ("pipe", "link"):
        assert resile("drill", "report", "--html", name).code == 2

    assert (drills / "pipe").is_fifo()
    assert (drills / "link").is_symlink()


def test_last_drill_is_told_with_its_score_and_what_got_worse(resile, drills):
    done = resile("drill", "report")

    assert done.code == 0
    assert "1 passed, 1 failed, 0 skipped" in done.out
    assert re.search(
        r"^score \d\d of 100: 1 of \d+ cells of the matrix are proven$", done.out, re.MULTILINE
    )
    assert f"worse: {HANG}: passed, now slow" in done.out


def test_earlier_drill_is_told_by_the_end_of_its_id(resile, drills):
    done = resile("drill", "report", "1aaa", "--json")

    told = json.loads(done.out)
    assert told["id"] == "drl_1aaa"
    assert told["score"]["worse"] == []
    assert [result["verdict"] for result in told["results"]] == ["passed", "passed"]


def test_html_is_one_file_for_everybody(resile, drills):
    done = resile("drill", "report", "--html", "report.html")

    page = drills / "report.html"
    assert (done.code, done.out) == (0, "")
    assert "shop" in page.read_text()
    assert "well after 14s" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o644


@pytest.fixture
def drilled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let drills of the command find what a test says, instead of breaking anything."""

    def find(*drills: tuple[DrillProved, ...]) -> None:
        began_at, ids = datetime.now(UTC) - timedelta(hours=len(drills)), []
        journal = open_journal(folder / ".resile" / "journal")
        for number, results in enumerate(drills):
            ids.append(f"drl_{number}")
            told = [replace(result, drill_id=ids[-1]) for result in results]
            journal.append(*drill(ids[-1], began_at + timedelta(hours=number), *told))
        journal.close()
        monkeypatch.setattr(
            "resile.cli.cmd_drill._run",
            lambda *_: (past := read_past(None)).tell(past.find(ids[-1])),
        )

    return find


QUICK, LATER = proved(CRASH, recovered_s=0.4), proved(CRASH, recovered_s=1.9)


@pytest.mark.parametrize(
    ("drills", "code"),
    [
        pytest.param([(QUICK,), (LATER,)], 1, id="slower than in the drill before"),
        pytest.param([(LATER,), (QUICK,)], 0, id="quicker than before"),
        pytest.param([(QUICK,), (QUICK,)], 0, id="the same as before"),
        pytest.param([(LATER,)], 0, id="nothing to compare with"),
        pytest.param([(QUICK,), (proved(HANG),), (LATER,)], 1, id="slower than two drills before"),
        pytest.param(
            [(QUICK, proved(HANG)), (QUICK, proved(HANG, V.SKIPPED))], 1, id="not tried any more"
        ),
        pytest.param([(QUICK,), (proved(CRASH, V.SLOW),)], 1, id="not passed any more"),
        pytest.param([(proved(CRASH, V.SLOW),), (proved(CRASH, V.SLOW),)], 1, id="never passed"),
    ],
)
def test_a_drill_fails_on_regression_where_something_got_worse(resile, drilled, drills, code):
    drilled(*drills)

    assert resile("drill", "--yes", "--fail-on-regression").code == code


def test_a_regression_alone_does_not_fail_a_drill_that_need_not(resile, drilled):
    drilled((QUICK,), (LATER,))

    done = resile("drill", "--yes", "--json")

    assert done.code == 0
    (worse,) = json.loads(done.out)["score"]["worse"]
    assert worse == {"cell": CRASH, "why": "recovered after 1.9s, before 400ms"}


def test_a_drill_writes_its_page_also_where_it_fails(resile, drilled):
    drilled((QUICK,), (LATER,))

    done = resile("drill", "--yes", "--fail-on-regression", "--html", "drill.html")

    assert done.code == 1
    assert "recovered after 1.9s, before 400ms" in Path("drill.html").read_text()
