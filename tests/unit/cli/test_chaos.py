"""What the command says of faults on purpose, without a daemon and without breaking anything real."""

import json
import sys

import pytest

from resile.chaos.ledger import Ledger
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


def test_nothing_real_is_broken_without_a_yes(typed):
    found = typed("apply", "process.kill", "--target", "service/web", code=3)

    assert "process.kill on service/web" in found["error"]
    assert found["hint"] == "say --yes"


def test_a_person_is_asked_and_may_say_no(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda text, **_: "cpu.burn on this machine" not in text)

    assert run(["chaos", "apply", "cpu.burn"]) == 3
    assert "nothing was broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("apply", "process.kil", "--yes"), "there is no fault"),
        (("apply", "cpu.burn", "cores", "--yes"), "is no option"),
        (("apply", "cpu.burn", "=3", "--yes"), "is no option"),
        (("apply", "cpu.burn", "cores=0", "--ttl", "2h", "--yes"), "cannot be wanted so"),
        (("apply", "cpu.burn", "--ttl", "soon", "--yes"), "not a duration"),
        (("undo",), "name the faults"),
        (("undo", "x", "--all"), "name the faults"),
        (("undo", "chaos_1"), "no fault 'chaos_1' is active"),
        (("run", "nowhere.toml"), "cannot be read"),
    ],
)
def test_wrong_input_is_told_and_nothing_begins(typed, folder, words, problem):
    found = typed(*words, code=2)

    assert problem in found["error"]
    assert Ledger(folder / ".resile" / "chaos").records() == ()


def test_every_mistake_of_an_option_is_told(typed):
    found = typed("apply", "cpu.burn", "cores=0", "colour=red", "--ttl", "2h", "--yes", code=2)

    assert len(found["problems"]) == 3


def test_every_mistake_of_an_experiment_is_told(typed, folder):
    (folder / "wrong.toml").write_text('version = 2\n[[step]]\nfault = "process.kil"\n')

    assert len(typed("run", "wrong.toml", code=2)["problems"]) == 4


def test_a_service_cannot_be_hit_without_a_daemon(typed):
    found = typed("apply", "process.kill", "--target", "service/web", "--yes", code=6)

    assert "no daemon answers" in found["error"]


def test_preflight_tells_of_every_fault_and_list_of_its_options(typed):
    able = {one["name"]: one for one in typed("preflight")["faults"]}
    listed = {one["name"]: one for one in typed("list")["faults"]}

    assert list(able) == list(listed)
    assert not able["dependency.down"]["able"]
    assert "no daemon answers" in able["dependency.down"]["why"]
    assert able["process.kill"]["able"]
    assert listed["network.latency"]["options"][0]["name"] == "latency"


def test_list_and_preflight_are_tables_for_people(folder, capsys):
    assert run(["chaos", "list"]) == run(["chaos", "preflight"]) == run(["chaos", "status"]) == 0
    text = capsys.readouterr().out

    assert "jitter=0ms" in text
    assert "no fault is active" in text


def test_the_kill_switch_refuses_and_says_so(typed, folder):
    (folder / ".resile" / "chaos").mkdir(parents=True)
    (folder / ".resile" / "chaos" / "stop").touch()

    assert "no fault may begin" in typed("apply", "cpu.burn", "--yes", code=3)["error"]
    assert typed("status")["is_forbidden"]


def test_an_experiment_of_a_sick_system_is_refused(typed, folder):
    (folder / "sick.toml").write_text(
        'version = 1\ntitle = "t"\n[[probe]]\nrun = ["false"]\n[[step]]\npause = "1s"\n'
    )

    report = typed("run", "sick.toml", code=3)

    assert report["verdict"] == "unsteady"
