"""The command on files of its own, with a real watchdog."""

import json

import pytest

from resile.cli.main import run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "resile.toml").write_text('[resile]\nname = "x"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(folder, capsys):
    def type_(*words, code=0):
        assert run(["chaos", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return type_


def test_a_fault_of_the_folder_is_applied_shown_and_undone(typed, folder):
    (folder / "data").write_bytes(b"abc")

    applied = typed("apply", "disk.bitflip", "--target", "data", "--ttl", "60s", "--yes")
    (shown,) = typed("status")["faults"]
    flipped = (folder / "data").read_bytes()
    (undone,) = typed("undo", applied["fault_id"])["undone"]

    assert applied["is_proven"]
    assert (shown["fault"], shown["state"]) == ("disk.bitflip", "active")
    assert flipped != b"abc"
    assert undone["is_gone"]
    assert (folder / "data").read_bytes() == b"abc"
    assert typed("undo", "--all")["undone"] == []


def test_an_experiment_of_the_folder_is_run_and_told(folder, capsys):
    (folder / "data").write_bytes(b"abc")
    (folder / "flip.toml").write_text(
        'version = 1\ntitle = "a flip"\n'
        '[[probe]]\ncall = "os.path:exists"\narguments = { path = "data" }\n'
        '[[step]]\nfault = "disk.bitflip"\ntarget = "data"\nfor = "0s"\n'
        '[[step]]\nrun = ["cat", "data"]\n'
    )

    assert run(["chaos", "run", "flip.toml", "--yes"]) == 0
    told = capsys.readouterr()

    assert "a flip: passed" in told.out
    assert "injects disk.bitflip into data on purpose" in told.err
    assert (folder / "data").read_bytes() == b"abc"
