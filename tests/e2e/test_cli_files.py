"""The command as a user types it, where no daemon is needed: init, config, doctor, journal."""

import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from resile.core.events import ProcessStarted, announce
from resile.core.journal import SegmentLimits, open_journal

RESILE = Path(sys.executable).with_name("resile")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keep compiled modules for all commands of this file, as an installed package does."""
    return {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled"))}


@pytest.fixture
def typed(tmp_path: Path, compiled: dict[str, str]):
    """Type a command in a fresh folder; the answer is read as plain text."""

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.run(
            [RESILE, *words],
            cwd=tmp_path,
            env={**inherited, **compiled, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_first_steps_in_an_empty_folder(typed):
    assert typed("status").returncode == 2
    assert typed("init").returncode == 0
    assert typed("config", "check").returncode == 0
    assert typed("init").returncode == 3
    assert typed("status").returncode == 6


def test_schema_takes_the_file_that_init_wrote(typed, tmp_path):
    import tomllib

    (tmp_path / "app.py").write_text("app = FastAPI()\n")
    typed("init")
    schema = json.loads(typed("config", "schema").stdout)

    jsonschema.validate(tomllib.loads((tmp_path / "resile.toml").read_text()), schema)


PLANTED = """\
[resile]
nmae = "shop"
stable = "soon"
http = { port = 70000 }

[service.api]
command = "uvicorn app:app"
ready = { http = "127.0.0.1:8000/health" }
depends_on = ["db", "cach"]
restart = { policy = "permanant" }

[service.db]
command = ["postgres"]
depends_on = ["api"]
limits = { memory = "lots" }

[check.disk]
disk = "/"
interval = "1s"
timeout = "2s"

[group.all]
services = ["api", "web"]
"""
LINES = [2, 3, 4, 7, 8, 9, 10, 14, 15, 20, 23]


def test_every_planted_error_is_told_with_its_line(typed, tmp_path):
    (tmp_path / "resile.toml").write_text(PLANTED)

    done = typed("config", "check")

    told = [line.strip() for line in done.stderr.splitlines() if "resile.toml:" in line]
    assert done.returncode == 2
    assert [int(line.split(":")[1]) for line in told] == LINES
    assert "Traceback" not in done.stderr


def test_up_with_a_wrong_file_starts_nothing(typed, tmp_path):
    (tmp_path / "resile.toml").write_text(PLANTED)

    assert typed("up").returncode == 2
    assert not (tmp_path / ".resile").exists()


def test_variable_overrides_the_file(typed):
    typed("init")

    done = typed("config", "show", "--json", RESILE_RESILE__HTTP__PORT="9000")
    wrong = typed("config", "check", RESILE_RESILE__HTTP__PRT="9000")

    assert json.loads(done.stdout)["resile"]["http"]["port"] == 9000
    assert wrong.returncode == 2
    assert 'RESILE_RESILE__HTTP__PRT: no setting is called "prt"' in wrong.stderr


def test_missing_program_is_told_before_anything_starts(typed, tmp_path):
    (tmp_path / "resile.toml").write_text('[service.a]\ncommand = ["no-such-program"]\n')

    done = typed("up")

    assert done.returncode == 2
    assert 'service.a.command: "no-such-program" is not found in PATH' in done.stderr


def test_unknown_command_gets_the_nearest_one(typed):
    done = typed("statsu")

    assert done.returncode == 2
    assert "did you mean `resile status`?" in done.stderr


def test_doctor_tells_what_the_machine_allows(typed):
    done = typed("doctor", "--json")

    findings: dict[str, Any] = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0
    assert findings["kernel"]["seen"].startswith("Linux ")
    assert findings["pidfd"]["verdict"] == "ok"
    assert typed("doctor").stdout.startswith("PROBE")


@pytest.fixture
def journal(typed, tmp_path: Path) -> Path:
    """A journal of twenty events, in one file."""
    typed("init")
    folder = tmp_path / ".resile" / "journal"
    folder.parent.mkdir()
    opened = open_journal(folder, limits=SegmentLimits())
    payloads = [
        ProcessStarted(service="api", generation=number, pid=7, start_ticks=1)
        for number in range(20)
    ]
    at = datetime.now(UTC)
    opened.append(*(announce(payload, at=at, actor="brain") for payload in payloads))
    opened.close()
    return folder


def change(journal: Path, sql: str) -> None:
    """Change the file as somebody would who knows SQLite: past the triggers that forbid it."""
    (file,) = journal.glob("*.db")
    connection = sqlite3.connect(file)
    triggers = connection.execute(
        "select name, sql from sqlite_schema where type = 'trigger'"
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"drop trigger {name}")
    connection.execute(sql)
    for _, text in triggers:
        connection.execute(text)
    connection.commit()
    connection.close()


def test_whole_journal_is_verified(typed, journal):
    done = typed("journal", "verify", "--json")

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["records"] == 20


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("update event set actor = 'somebody' where seq = 12", 12),
        ("delete from event where seq = 5", 5),
        ("delete from event where seq > 17", 18),
    ],
)
def test_changed_journal_is_told_by_its_first_bad_record(typed, journal, sql, seq):
    change(journal, sql)

    done = typed("journal", "verify")
    as_json = json.loads(typed("journal", "verify", "--json").stdout)

    assert done.returncode == 5
    assert str(seq) in done.stderr
    assert (as_json["exit_code"], as_json["seq"]) == (5, seq)


def test_exported_head_shows_that_the_journal_was_cut_and_its_head_file_with_it(typed, journal):
    head = typed("journal", "head").stdout.strip()
    for path in journal.iterdir():
        path.unlink()

    assert typed("journal", "verify", "--head", head).returncode in (4, 5)


def test_events_can_be_read_without_a_daemon(typed, journal):
    done = typed("events", "--limit", "3")

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    assert "read from the journal" in done.stderr


def test_output_that_nobody_reads_to_its_end_is_no_error(typed, journal, tmp_path):
    done = subprocess.run(
        ["sh", "-c", f"{RESILE} config schema | head -n 1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "{\n"
    assert done.stderr == ""
