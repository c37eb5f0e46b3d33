"""`resile secrets` as a user types it, where no daemon runs: answers, mistakes, and what they exit with."""

import json
import os
from pathlib import Path

import pytest
from tests.support.secret_typing import Typed

from resile.core.journal import verify_journal

WORD = "sentinel-4711-value"
CONFIG = """
[resile]
name = "test"

[secret."db/password"]
rotator = { kind = "random", length = 20 }

[secret."api/key"]
"""


@pytest.fixture
def typed(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Typed:
    (tmp_path / "resile.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RESILE_")]:
        monkeypatch.delenv(name)
    return Typed(tmp_path, capfdbinary, monkeypatch)


# Mistakes -----------------------------------------------------------------------------------------


def test_name_that_is_not_there_is_told_with_the_nearest_that_is(typed: Typed) -> None:
    typed.put("db/password", WORD)

    for words in (("get",), ("history",), ("rotate",), ("rollback", "--yes")):
        typed.refused(
            words[0], "db/pasword", *words[1:], code=2, says="no secret", hint="'db/password'"
        )
    typed.refused("get", "quite/other", code=2, says="no secret", hint="resile secrets list")
    typed.refused("get", "../x", code=2, says="not the name of a secret", hint="letters")


def test_version_that_is_not_there_is_told_with_how_to_list_them(typed: Typed) -> None:
    typed.put("a", WORD)

    typed.refused("get", "a", "--version", "9", code=2, says="no version '9'", hint="history a")
    typed.refused("revoke", "a", "9", "--why", "x", "--yes", code=2, says="9", hint="history a")


@pytest.mark.parametrize("argument", [WORD, f"--{WORD}", f"-{WORD}", f"--value={WORD}"])
def test_value_among_the_arguments_is_refused_and_not_repeated(typed: Typed, argument: str) -> None:
    done = typed("put", "a", argument)

    assert done.code == 2
    assert "never taken from the command line" in done.err
    assert "--from-file" in done.err
    assert WORD not in done.err + done.out
    assert not (typed.folder / ".resile").exists()


def test_value_that_is_none_is_refused(typed: Typed) -> None:
    typed.refused("put", "a", code=2, says="empty", hint="--generate")
    typed.refused("put", "a", "--from-file", "gone", code=2, says="cannot be read", hint="file")
    typed.refused(
        "put", "a", code=2, says="more than 65536 bytes", hint="keep", stdin=b"x" * 70_000
    )
    typed.refused("put", "", code=2, says="not the name of a secret", hint="letters")
    typed.refused("put", "a", "--generate", "9", code=2, says="16<=x<=4096", hint="--help")


def test_write_that_expects_another_version_writes_nothing(typed: Typed) -> None:
    typed.put("a", "one")
    typed.put("a", "two")

    typed.refused("put", "a", "--expect", "1", code=7, says="a", hint="", stdin=b"three")
    typed.refused("put", "a", "--expect", "", code=7, says="a", hint="", stdin=b"three")

    assert typed.value("a") == "two"
    assert typed.json("put", "a", "--expect", "2", stdin=b"three")["version"] == "3"


def test_what_cannot_be_undone_asks_and_does_nothing_where_nobody_answers(typed: Typed) -> None:
    typed.put("a", "one")
    typed.put("a", "two")

    typed.refused("rollback", "a", code=3, says="Nobody can be asked", hint="--yes")
    typed.refused("revoke", "a", "--why", "x", code=3, says="all versions of a", hint="--yes")

    assert typed.value("a") == "two"


def test_reason_is_asked_for_where_it_matters(typed: Typed) -> None:
    typed.put("db/password", WORD)

    typed.refused("revoke", "db/password", "1", code=2, says="--why", hint="--help")
    typed.refused("rotate", "db/password", "--compromise", code=2, says="reason", hint="--why")
    typed.refused("revoke", "db/password", "--why", "x" * 201, code=2, says="200", hint="--help")


def test_secret_without_a_rotator_is_told_how_to_get_one(typed: Typed) -> None:
    typed.put("api/key", WORD)

    typed.refused("rotate", "api/key", code=2, says="no rotator", hint='[secret."api/key".rotator]')


def test_what_only_a_keeper_can_do_needs_the_daemon(typed: Typed) -> None:
    for words in (("release", "service/api"), ("quarantine", "service/api", "--why", "x")):
        typed.refused(*words, code=6, says="service/api", hint="resile up")
    typed.refused("rotate", "db/password", "--no-wait", code=2, says="nobody", hint="--no-wait")


def test_wrong_master_key_is_told_and_changes_nothing(typed: Typed) -> None:
    typed.put("a", WORD)
    key = typed.folder / ".resile" / "secrets" / "master.key"
    right = key.read_bytes()
    key.write_text("ab" * 32)

    typed.refused("get", "a", code=2, says="another master key", hint="bring back")
    found = typed("doctor", "--json")
    assert found.code == 1
    assert [one["level"] for one in found.data["findings"]] == ["error"]
    key.write_bytes(right)

    assert typed.value("a") == WORD


def test_nothing_is_given_that_cannot_be_recorded(typed: Typed) -> None:
    typed.put("a", WORD)
    (typed.folder / ".resile" / "journal").rename(typed.folder / "elsewhere")
    (typed.folder / ".resile" / "journal").write_text("in the way")

    done = typed("get", "a")

    assert done.code in (1, 4)
    assert done.raw == b""
    assert WORD not in done.err
    assert "hint: " in done.err


def test_contained_run_gets_no_secrets(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.put("a", WORD)
    monkeypatch.setenv("RESILE_CONTAINED", "1")

    typed.refused("get", "a", code=3, says="contained run gets no secrets", hint="outside")


def test_wrong_configuration_is_told(typed: Typed) -> None:
    (typed.folder / "resile.toml").write_text('[secrets]\nprovider = "lokal"\n')

    typed.refused("list", code=2, says="no provider 'lokal'", hint="'local'")
    typed.refused("list", "-c", "gone.toml", code=2, says="does not exist", hint="-c FILE")


# What it does -------------------------------------------------------------------------------------


def test_value_comes_out_as_it_went_in_and_alone(typed: Typed) -> None:
    data = b"\x00\xff\n\r\n"

    put = typed.done("put", "db/password", stdin=data)
    got = typed.done("get", "db/password")

    assert put.out == "db/password: version 1 is current\n"
    assert got.raw == data
    assert "no daemon" in got.err


def test_newline_of_a_line_is_left_off_and_said(typed: Typed) -> None:
    assert "left off" in typed.done("put", "a", stdin=b"word\n").err
    (typed.folder / "file").write_bytes(b"word\n")
    typed.done("put", "b", "--from-file", "file", "--exact")

    assert typed.value("a") == "word"
    assert typed.value("b") == "word\n"


def test_generated_value_is_shown_to_nobody(typed: Typed) -> None:
    done = typed.done("put", "a", "--generate", "32")
    typed.done("put", "b", "--generate")

    assert len(typed.value("a")) == 32
    assert len(typed.value("b")) == 43
    assert typed.value("a") not in done.out + done.err


def test_field_of_a_credential_is_given_alone(typed: Typed) -> None:
    typed.put("db", json.dumps({"username": "u", "password": WORD}))

    assert typed.value("db", "--field", "password") == WORD
    typed.refused(
        "get", "db", "--field", "host", "--show", code=1, says="no field 'host'", hint="username"
    )


def test_json_gives_the_value_only_when_it_is_wanted(typed: Typed) -> None:
    typed.put("a", WORD)

    told = typed.json("get", "a")
    shown = typed.json("get", "a", "--show")

    assert set(told) == {"name", "version", "stage", "created_at"}
    assert (told["version"], told["stage"]) == ("1", "current")
    assert shown == {**told, "value": WORD}
    assert len(typed.events("secret.accessed")) == 1, "what shows no value is no access"


def test_value_that_is_no_text_is_told_in_base64(typed: Typed) -> None:
    typed.done("put", "a", stdin=b"\xff\x00")

    assert typed.json("get", "a", "--show")["value_base64"] == "/wA="
    typed.refused(
        *("get", "a", "--field", "x", "--show"), code=1, says="no fields", hint="secrets get a"
    )


def test_versions_have_a_history_and_the_one_before_comes_back(typed: Typed) -> None:
    for value in ("one", "two"):
        typed.put("a", value)

    assert typed.value("a", "--version", "previous") == "one"
    assert typed.json("rollback", "a", "--yes")["version"] == "3"

    assert typed.value("a") == "one"
    listed = typed.json("history", "a")["versions"]
    assert [(one["version"], one["stage"]) for one in listed][:2] == [
        ("3", "current"),
        ("2", "previous"),
    ]
    assert typed.done("history", "a").out.splitlines()[1].split()[:2] == ["3", "current"]


def test_revoked_version_is_given_to_nobody(typed: Typed) -> None:
    for value in ("one", "two"):
        typed.put("a", value)

    done = typed.done("revoke", "a", "1", "--why", "it leaked", "--yes")
    assert done.out == "a: version 1 destroyed\n"
    typed.refused("get", "a", "--version", "1", "--show", code=3, says="version 1", hint="put a")
    assert typed.value("a") == "two"
    typed.done("revoke", "a", "--why", "all of it", "--yes")

    assert typed("get", "a").code == 3
    assert {one["stage"] for one in typed.json("history", "a")["versions"]} == {"retired"}
    told = typed.events("secret.revoked")
    assert [(one["number"], one["why"]) for one in told] == [("1", "it leaked"), ("2", "all of it")]


def test_rotation_is_told_step_by_step_and_what_it_was(typed: Typed) -> None:
    typed.put("db/password", WORD)

    done = typed.done("rotate", "db/password")

    steps = [line.split()[0] for line in done.err.splitlines() if " after " in line]
    assert steps[-3:] == ["promoted", "drained", "retired"]
    assert done.out.startswith("db/password: version 2 is current; rotated in ")
    assert len(typed.value("db/password")) == 20
    assert "rotated" in typed.done("list", "--rotations").out
    assert {one["outcome"] for one in typed.events("rotation.ended")} == {"rotated"}
    assert typed.json("rotate", "db/password", "--compromise", "--why", "x")["number"] == "3"


def test_dry_run_tells_the_plan_and_does_nothing(typed: Typed) -> None:
    typed.put("db/password", WORD)

    done = typed.done("rotate", "db/password", "--dry-run")

    assert done.out.startswith("1. prepared: ")
    assert "warning: " in done.out
    assert typed.json("rotate", "db/password", "--dry-run")["outcome"] is None
    assert typed.value("db/password") == WORD


def test_list_tells_of_what_is_declared_and_of_what_is_kept(typed: Typed) -> None:
    assert "none yet" in typed.done("list").out
    typed.put("other", WORD)
    typed.put("db/password", WORD)

    rows = {row["name"]: row for row in typed.json("list")["secrets"]}

    assert set(rows) == {"db/password", "api/key", "other"}
    assert (rows["db/password"]["version"], rows["db/password"]["rotator"]) == ("1", "random")
    assert rows["db/password"]["next_rotation_at"]
    assert (rows["api/key"]["version"], rows["other"]["rotator"]) == ("", "")


def test_each_access_is_shown_with_who_and_what_came_of_it(typed: Typed) -> None:
    assert typed.done("access").out == "nobody asked\n"
    typed.put("a", WORD)
    typed.value("a")
    typed("get", "b")

    found = typed.json("access")["accesses"]

    client = f"user/{os.geteuid()}/resile"
    assert [(one["name"], one["number"], one["outcome"]) for one in found] == [
        ("a", "1", "given"),
        ("b", "", "unknown"),
    ]
    assert {(one["client"], one["pid"], one["uid"]) for one in found} == {
        (client, os.getpid(), os.geteuid())
    }
    assert typed.json("access", "a")["accesses"] == found[:1]
    assert typed.json("access", "-n", "1")["accesses"] == found[1:]
    assert typed.json("access", "--client", "user/*")["accesses"] == found
    assert typed.json("access", "--client", "service/*")["accesses"] == []
    assert typed.json("access", "--since", "2100-01-01")["accesses"] == []
    assert "given" in typed.done("access").out


def test_changes_are_journalled_with_who_did_them(typed: Typed) -> None:
    typed.put("a", "one")
    typed.put("a", "two")
    typed.done("rollback", "a", "--yes")
    typed.done("rekey")

    written = typed.events("secret.written")

    assert [one["is_rollback"] for one in written] == [False, False, True]
    assert {one["who"] for one in written} == {f"user/{os.geteuid()}/resile"}
    assert len(typed.events("secrets.rekeyed")) == 1
    assert verify_journal(typed.folder / ".resile" / "journal").records >= 4


def test_another_master_key_opens_it_from_then_on(typed: Typed) -> None:
    typed.put("a", WORD)
    key = typed.folder / ".resile" / "secrets" / "master.key"
    before = key.read_bytes()

    assert typed.done("rekey").out.startswith("1 version is sealed with a new master key")

    assert key.read_bytes() != before
    assert typed.value("a") == WORD
    typed.refused("rekey", "--passphrase-file", "x", code=2, says="no passphrase", hint="leave out")


def test_another_passphrase_opens_it_from_then_on(typed: Typed) -> None:
    place = typed.folder / "passphrase"
    place.write_text("correct horse battery staple\n")
    place.chmod(0o600)
    (typed.folder / "resile.toml").write_text('[secrets]\npassphrase_file = "passphrase"\n')
    (typed.folder / "new").write_text("staple battery horse correct\n")
    typed.put("a", WORD)

    typed.refused("rekey", "--passphrase-file", "gone", code=2, says="cannot be read", hint="file")
    typed.done("rekey", "--passphrase-file", "new")

    assert place.read_text() == "staple battery horse correct\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert typed.value("a") == WORD


def test_doctor_finds_nothing_wrong_and_then_something(typed: Typed) -> None:
    for name in ("db/password", "api/key"):
        typed.put(name, WORD)

    assert {one["level"] for one in typed.json("doctor")["findings"]} <= {"note"}

    (typed.folder / "resile.toml").write_text(CONFIG + "[secret.new]\n")
    found = typed("doctor")
    assert found.code == 1
    assert "new is declared, and has no value" in found.out
    assert "resile secrets put new" in found.out


def test_value_is_nowhere_but_where_it_was_asked_for(typed: Typed) -> None:
    typed.put("db/password", WORD)
    typed.put("db/password", WORD + "-2")
    said = ""
    for words in (
        ("list",),
        ("list", "--json"),
        ("history", "db/password"),
        ("get", "db/password", "--json"),
        ("get", "db/pasword"),
        ("get", "db/password", "--field", "x"),
        ("rollback", "db/password", "--yes"),
        ("access",),
        ("doctor", "--json"),
        ("rotate", "db/password"),
        ("rekey",),
    ):
        done = typed(*words)
        said += done.out + done.err

    assert WORD not in said
    files = [path for path in (typed.folder / ".resile").rglob("*") if path.is_file()]
    assert [path for path in files if WORD.encode() in path.read_bytes()] == []
    assert {oct(path.stat().st_mode & 0o077) for path in files} == {"0o0"}
