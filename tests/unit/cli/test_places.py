"""Finding the configuration and the state folder without reading the rest."""

import pytest

from resile.cli.places import find_places
from resile.errors import ConfigError


def test_nearest_file_upwards_is_taken(tmp_path):
    (tmp_path / "resile.toml").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    places = find_places(None, environ={}, start=deep)

    assert places.config == tmp_path / "resile.toml"
    assert places.state == tmp_path / ".resile"
    assert places.socket == tmp_path / ".resile" / "run" / "resile.sock"


def test_state_folder_is_read_from_the_file_and_overridden(tmp_path):
    file = tmp_path / "other.toml"
    file.write_text('[resile]\nstate_dir = "state"\n[service.x]\nnonsense = 1\n')

    assert find_places(file, environ={}).state == tmp_path / "state"
    environ = {"RESILE_RESILE__STATE_DIR": "/var/lib/x"}
    assert str(find_places(file, environ=environ).state) == "/var/lib/x"


@pytest.mark.parametrize("text", ["", "resile = 3", "[resile]\nstate_dir = 3", "[resile]"])
def test_state_folder_has_a_default(tmp_path, text):
    (tmp_path / "resile.toml").write_text(text)

    assert find_places(None, environ={}, start=tmp_path).state == tmp_path / ".resile"


def test_places_agree_with_the_whole_configuration(tmp_path):
    from resile.core.config import load_config

    file = tmp_path / "resile.toml"
    file.write_text('[resile]\nstate_dir = "~/x"\n')

    assert find_places(file, environ={}).state == load_config(file, environ={}).resile.state_dir


def test_missing_and_broken_files_are_told_with_a_hint(tmp_path):
    (tmp_path / "broken.toml").write_text("[[")

    for config, words in (
        (None, "there is no resile.toml in"),
        (tmp_path / "none.toml", "does not exist"),
        (tmp_path / "broken.toml", "is not TOML"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            find_places(config, environ={}, start=tmp_path)
        assert caught.value.exit_code == 2


def test_current_folder_that_is_gone_is_said_plainly(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError, match="does not exist any more"):
        find_places(None)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("[resile]\nstate_dir = 'here'\n[[", "here"),
        ('[resile]\n  state_dir="here"  # why\nname = \xff', "here"),
        ('[resile]\n# state_dir = "not-here"\nname = ', ".resile"),
        ("[resile]\nstate_dir = [\n", ".resile"),
    ],
)
def test_running_system_is_found_though_its_file_is_broken(tmp_path, text, folder):
    (tmp_path / "resile.toml").write_text(text, encoding="latin-1")
    facts = tmp_path / folder / "run" / "guard.json"
    facts.parent.mkdir(parents=True)
    facts.touch()

    assert find_places(None, environ={}, start=tmp_path).guard_facts == facts
