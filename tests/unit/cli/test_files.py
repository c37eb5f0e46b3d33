"""`init` and `config`."""

import os

import pytest

from resile.core.config import config_schema, load_config


def test_init_writes_a_file_that_is_right(resile, places):
    places.config.unlink()

    done = resile("init")

    assert done.code == 0
    assert str(places.config) in done.out
    load_config(places.config, environ={})
    assert oct(places.config.stat().st_mode & 0o777) == "0o644"


def test_init_never_overwrites(resile, places):
    places.config.write_text("# mine\n")

    done = resile("init")

    assert done.code == 3
    assert "is there already" in done.err
    assert places.config.read_text() == "# mine\n"


def test_init_of_another_folder(resile, tmp_path):
    (tmp_path / "sub").mkdir()

    done = resile("init", "sub", "--json")

    assert done.data == {"file": str(tmp_path / "sub" / "resile.toml")}
    assert resile("init", "nowhere").code == 2


def test_init_where_nothing_can_be_written(resile):
    done = resile("init", "/proc")

    assert done.code == 1
    assert "could not be written" in done.err


def test_check_counts_what_is_declared(resile, places):
    places.config.write_text('[service.a]\ncommand = ["x"]\n[check.c]\nmemory = true\n')

    assert "is right: 1 service, 1 check, 0 groups" in resile("config", "check").out
    data = resile("config", "check", "--json").data
    assert data["errors"] == []
    assert len(data["digest"]) == 64


def test_check_looks_at_the_environment_too(resile, monkeypatch):
    monkeypatch.setenv("RESILE_RESILE__HTTP__PRT", "1")

    assert "RESILE_RESILE__HTTP__PRT" in resile("config", "check").err


def test_schema_is_printed(resile):
    assert resile("config", "schema").data == config_schema()
    assert resile("config", "schema", "--json").data == config_schema()


SECRETS = """
[service.a]
command = ["x"]
env = { API_TOKEN = "hunter2", DB_PASSWORD = "hunter2", MODE = "dev", URL = "redis://u:hunter2@h/0" }
[check.p]
postgres = "postgresql://u:hunter2@h/d"
[check.q]
postgres = "host=h password='hunter2' user=u"
[check.h]
http = "http://u:hunter2@h/"
"""


@pytest.mark.parametrize("words", [("config", "show"), ("config", "show", "--json")])
def test_show_blots_out_secrets(resile, places, words):
    places.config.write_text(SECRETS)

    out = resile(*words).out

    assert "hunter2" not in out
    assert "dev" in out
    assert "postgresql://u:***@h/d" in out


def test_shown_settings_are_what_counts(resile, places, monkeypatch, tmp_path):
    places.config.write_text('[service.a]\ncommand = ["x"]\n')
    monkeypatch.setenv("RESILE_RESILE__HTTP__PORT", "9999")

    lines = resile("config", "show").out.splitlines()

    assert "resile.http.port = 9999" in lines
    assert f'service.a.cwd = "{tmp_path}"' in lines


def test_shown_settings_can_be_loaded_again(resile, places):
    places.config.write_text('[service.a]\ncommand = ["x"]\n[check.d]\ndisk = "."\n')
    shown = resile("config", "show").out
    before = load_config(places.config, environ=os.environ).digest

    places.config.write_text(shown)

    assert load_config(places.config, environ=os.environ).digest == before
