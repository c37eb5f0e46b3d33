"""What a command sees of the machine: what is shown although it lies in /tmp, and what is hidden."""

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from resile.contain.spec import RunSpec, hidden_paths, shown_paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this be the user's own folder, as the machine knows it."""
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(tmp_path)))
    return tmp_path


def test_places_of_keys_that_are_there_are_hidden(home: Path) -> None:
    for folder in (".ssh", ".config/gcloud", ".config/other"):
        (home / folder).mkdir(parents=True)
    (home / ".netrc").touch()

    hidden = hidden_paths(RunSpec(argv=("true",)), more=())

    found = {path.relative_to(home) for path in hidden if path.is_relative_to(home)}
    assert found == {Path(".ssh"), Path(".config/gcloud"), Path(".netrc")}


def test_what_is_inside_of_what_is_hidden_is_left_out(home: Path) -> None:
    (home / ".ssh/inner").mkdir(parents=True)
    spec = RunSpec(argv=("true",), hidden=(home / ".ssh/inner",))

    hidden = hidden_paths(spec, more=(home / "missing",))

    assert [path for path in hidden if path.is_relative_to(home)] == [home / ".ssh"]


def test_user_whose_own_folder_is_missing_has_nothing_there(home: Path) -> None:
    home.rmdir()

    hidden = hidden_paths(RunSpec(argv=("true",)), more=())

    assert not any(path.is_relative_to(home) for path in hidden)


@pytest.mark.parametrize("spelling", ["{}/bin", "{}//bin/", "/.{}/bin"])
def test_installation_in_a_temporary_folder_is_shown_whole(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "bin").mkdir()
    path = os.pathsep.join(["/usr/bin", "", spelling.format(tmp_path)])

    assert shown_paths(RunSpec(argv=("true",)), {"PATH": path}) == (tmp_path,)
