"""The Chaos Toolkit's format: all that it has, and every mistake at once."""

import json
from pathlib import Path

import pytest

from resile.chaos import load_experiment
from resile.chaos.experiments.filling import fill
from resile.chaos.experiments.masking import MASK, shown
from resile.chaos.experiments.model import (
    HttpCall,
    ProcessCall,
    PythonCall,
    ToleranceKind,
    Variables,
)
from resile.chaos.experiments.toolkit import read_toolkit
from resile.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "support" / "data" / "chaostoolkit"
PROBE = {
    "type": "probe",
    "name": "there",
    "tolerance": True,
    "provider": {
        "type": "python",
        "module": "os.path",
        "func": "exists",
        "arguments": {"path": "x"},
    },
}
ACTION = {"type": "action", "name": "go", "provider": {"type": "process", "path": "true"}}


def experiment(**more):
    return {
        "title": "t",
        "description": "d",
        "steady-state-hypothesis": {"title": "h", "probes": [PROBE]},
        "method": [ACTION],
        **more,
    }


def read(data, environ=None):
    problems = []
    return read_toolkit(data, environ or {}, problems), problems


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_experiments_in_its_format_are_read(path):
    found = load_experiment(path, environ={})

    assert found.title
    assert found.method


def test_every_part_of_the_richest_example_is_understood():
    found = load_experiment(EXAMPLES / "complex.json", environ={})
    must_exist, must_respond = found.probes
    traffic, terminate, logs, _ = found.method

    assert must_exist.tolerance.kind is ToleranceKind.EQUAL
    assert isinstance(must_respond.call, HttpCall)
    assert (must_respond.call.method, must_respond.call.timeout_s) == ("POST", 8.0)
    assert isinstance(traffic.call, ProcessCall)
    assert traffic.is_background
    assert isinstance(terminate.call, PythonCall)
    assert terminate.pause_before_s == 5.0
    assert (terminate.is_action, logs.is_action) == (True, False)
    assert fill(must_respond.call.headers, found.variables)["Authorization"] == "Basic XYZ"
    assert found.warnings == ("controls of the file is not done by resile",)
    assert found.is_judged_before_rollbacks


def test_a_reference_may_name_a_step_of_another_part_or_a_later_one():
    found, problems = read(
        experiment(method=[{"ref": "there"}, {"ref": "go"}, ACTION], rollbacks=[{"ref": "go"}])
    )

    assert problems == []
    assert [step.name for step in found.method] == ["there", "go", "go"]
    assert [step.name for step in found.rollbacks] == ["go"]


def test_values_come_from_the_file_and_from_the_environment():
    found, problems = read(
        experiment(
            configuration={
                "plain": "a",
                "port": {"type": "env", "key": "PORT", "env_var_type": "int"},
                "other": {"type": "env", "key": "OTHER", "default": "b"},
            },
            secrets={"group": {"token": {"type": "env", "key": "TOKEN"}}},
        ),
        {"PORT": "80", "TOKEN": "hush-hush"},
    )

    assert problems == []
    assert found.variables.configuration == {"plain": "a", "port": 80, "other": "b"}
    assert found.variables.secrets == {"group": {"token": "hush-hush"}}
    assert "hush" not in repr(found)


def test_every_mistake_is_told_at_once():
    _, problems = read(
        {
            "description": 3,
            "configuration": {"a": {"type": "env", "key": "NOWHERE"}},
            "secrets": {"g": {"b": {"type": "vault", "path": "x"}}},
            "steady-state-hypothesis": {"probes": [{**PROBE, "tolerance": None}, {"name": "p"}]},
            "method": [
                {"ref": "nobody"},
                {"type": "deed", "name": "x", "provider": {"type": "go"}},
                {"type": "action", "provider": {"type": "python", "module": "m"}},
                {
                    "type": "action",
                    "name": "y",
                    "provider": {"type": "http"},
                    "pauses": {"after": "x"},
                },
                "nonsense",
            ],
        }
    )
    text = "\n".join(problems)

    for wanted in (
        "title: is missing",
        "description: is a number",
        "the environment has no 'NOWHERE'",
        "comes from 'vault'",
        "probes[1].tolerance: is missing",
        "probes[2].provider",
        "nothing is named 'nobody'",
        "is 'deed'",
        "is 'go'",
        "method[3].name: is missing",
        "provider.func: is missing",
        "provider.url: is missing",
        "pauses.after",
        "method[5]: is a text",
    ):
        assert wanted in text, wanted


@pytest.mark.parametrize("data", [None, 3, [], "text", {}])
def test_what_is_no_experiment_is_told(data):
    _, problems = read(data)

    assert problems


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "no JSON"),
        ("a.json", "[" * 100_000, "no JSON"),
        ("a.yaml", "a: [", "no YAML"),
        ("a.toml", "a =", "no TOML"),
        ("a.txt", "", "nobody knows what"),
        ("a.json", "\udcff", "no text"),
        ("a.json", "{}", "things are wrong with a.json"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, name, text, message):
    if name == "a.yaml":
        pytest.importorskip("yaml")
    path = tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError, match=message):
        load_experiment(path)


def test_a_missing_or_huge_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_experiment(tmp_path / "none.json")
    (tmp_path / "big.json").write_bytes(b" " * (1 << 20) + b"  ")
    with pytest.raises(ConfigError, match="larger than an experiment"):
        load_experiment(tmp_path / "big.json")


def test_without_pyyaml_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    (tmp_path / "a.yaml").write_text("title: t")

    with pytest.raises(Exception, match="needs PyYAML") as caught:
        load_experiment(tmp_path / "a.yaml")
    assert "JSON" in caught.value.hint


def test_yaml_and_json_mean_the_same(tmp_path):
    yaml = pytest.importorskip("yaml")
    text = (EXAMPLES / "minimal.json").read_text()
    (tmp_path / "a.yml").write_text(yaml.safe_dump(json.loads(text)))

    assert load_experiment(tmp_path / "a.yml") == load_experiment(EXAMPLES / "minimal.json")


VARIABLES = Variables(
    configuration={"port": 80, "name": "api"}, secrets={"g": {"name": "no", "key": "s3cret!"}}
)


@pytest.mark.parametrize(
    ("data", "filled"),
    [
        ("${port}", 80),
        ("http://x:${port}/${name}", "http://x:80/api"),
        ("${key}", "s3cret!"),
        ("${nobody} $HOME", "${nobody} $HOME"),
        ({"a": ["${port}", 1, None]}, {"a": [80, 1, None]}),
        (3, 3),
    ],
)
def test_names_are_filled_in_with_their_types(data, filled):
    assert fill(data, VARIABLES) == filled


def test_secrets_are_masked_and_long_values_are_cut():
    assert shown({"key": "s3cret!", "n": 1}, VARIABLES) == f'{{"key": "{MASK}", "n": 1}}'
    assert shown("a\n b", VARIABLES) == "a b"
    assert len(shown("x" * 1000, VARIABLES)) < 320
