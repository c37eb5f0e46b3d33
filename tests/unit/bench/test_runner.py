"""The bench runner itself."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from bench import __main__ as runner


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three benches: good, one that raises, one that exits with an error."""
    mains = {
        "a_good": lambda: sys.stdout.write("measured"),
        "b_bad": lambda: {}["missing"],
        "c_exits": lambda: sys.exit("no disk"),
    }
    for name, main in mains.items():
        (tmp_path / f"bench_{name}.py").touch()
        module = ModuleType(name)
        module.main = main  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"bench.bench_{name}", module)
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("benches")
def test_a_bench_that_fails_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    code = runner.main([])

    output = capsys.readouterr().out
    assert code == 1
    assert output.index("== a_good") < output.index("== b_bad") < output.index("== c_exits")
    assert "KeyError" in output
    assert output.rstrip().endswith("failed: b_bad, c_exits")


@pytest.mark.usefixtures("benches")
def test_only_the_named_benches_run(capsys: pytest.CaptureFixture[str]) -> None:
    code = runner.main(["a_good"])

    output = capsys.readouterr().out
    assert code == 0
    assert "measured" in output
    assert "b_bad" not in output
    assert "Python" in output


@pytest.mark.usefixtures("benches")
def test_an_unknown_name_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code = runner.main(["a_good", "nowhere"])

    assert code == 2
    assert capsys.readouterr().out == "no bench nowhere; there is a_good, b_bad, c_exits\n"
