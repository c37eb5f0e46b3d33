"""The JSON Schema that editors use, and the reference is made from."""

import tomllib

import jsonschema
import pytest
from tests.unit.config.conftest import ISSUE_EXAMPLE

from resile.core.config import config_schema, config_template
from resile.core.config.checks import KINDS

SCHEMA = config_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(text):
    return [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_takes_the_example_and_the_template(tmp_path):
    (tmp_path / "main.py").touch()

    assert errors(ISSUE_EXAMPLE) == []
    assert errors(config_template(tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[resile]\nnmae = 'x'",
        "[resile]\nstable = true",
        "[resile.http]\nport = 70000",
        "[service.a]",
        "[service.a]\ncommand = []",
        "[service.a]\ncommand = ['x']\nrestart = { policy = 'x' }",
        "[check.c]\ninterval = '1s'",
        "[check.c]\ntcp = 'h:1'\nunix = '/x'",
    ],
)
def test_schema_refuses_what_the_loader_refuses(text):
    assert errors(text)


def test_every_key_is_described_and_no_default_is_null():
    undescribed = []
    for name, table in (*SCHEMA["$defs"].items(), ("", SCHEMA)):
        for key, setting in table["properties"].items():
            assert setting.get("default", 0) is not None
            if len(setting.get("description", "")) < 10:
                undescribed.append(f"{name}.{key}")

    assert undescribed == []


def test_key_that_may_be_left_out_tells_its_default():
    silent = []
    for name, table in SCHEMA["$defs"].items():
        for key, setting in table["properties"].items():
            is_told = "default" in setting or "Default:" in setting["description"]
            if not is_told and key not in {*table.get("required", ()), *KINDS}:
                silent.append(f"{name}.{key}")

    assert silent == []


def test_units_are_told_to_whoever_makes_the_reference():
    setting = SCHEMA["$defs"]["RestartSection"]["properties"]["period"]

    assert (setting["default"], setting["x-unit"], setting["x-range"]) == (
        "60s",
        "duration",
        "1s to 1d",
    )
