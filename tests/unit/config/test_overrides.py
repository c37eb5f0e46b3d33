"""Settings from the environment."""

import pytest

from resile.contain.cgroups import MARK
from resile.daemon.protocol import GUARD_FD_VARIABLE

SERVICES = '[service.api]\ncommand = ["x"]\n[service.my-db]\ncommand = ["y"]\n'


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("RESILE_RESILE__HTTP__PORT", "9000", lambda c: c.resile.http.port == 9000),
        ("RESILE_RESILE__HTTP", "{ port = 9000 }", lambda c: c.resile.http.port == 9000),
        ("RESILE_RESILE__NAME", "a b", lambda c: c.resile.name == "a b"),
        ("RESILE_RESILE__NAME", "2024-01-01", lambda c: c.resile.name == "2024-01-01"),
        ("RESILE_RESILE__NAME", 'x"\ny = 1', None),
        ("RESILE_RESILE__LOG_BYTES_MAX", "1MiB", lambda c: c.resile.log_bytes_max == 1 << 20),
        ("RESILE_SERVICE__API__CRITICAL", "true", lambda c: c.service["api"].critical),
        (
            "RESILE_SERVICE__MY_DB__LIMITS__PROCESSES",
            "7",
            lambda c: c.service["my-db"].limits.processes == 7,
        ),
        (
            "RESILE_SERVICE__API__COMMAND",
            '["a", "b"]',
            lambda c: c.service["api"].command == ("a", "b"),
        ),
        (
            "RESILE_SERVICE__API__ENV__a__B",
            "1.50",
            lambda c: c.service["api"].env == {"a__B": "1.50"},
        ),
        ("RESILE_SERVICE__API__READY__TCP", "h:1", lambda c: c.service["api"].ready.kind == "tcp"),
    ],
)
def test_variable_sets_its_key(load, problems, variable, value, read):
    if read is None:
        assert problems(SERVICES, {variable: value})[0].startswith(f"{variable}: resile.name: ")
        return

    assert read(load(SERVICES, {variable: value}))


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("RESILE_PORT", 'no setting is called "port" there (write for example RESILE_RESILE__HTTP'),
        ("RESILE_RESILE__HTTP__PRT", '"prt" there (did you mean "port"?)'),
        ("RESILE_SERVICE__APU__CRITICAL", '"apu" there (did you mean "api"?)'),
        ("RESILE_RESILE__HTTP__PORT__X", '"x" there (nothing can be set below this key)'),
        ("RESILE_", 'no setting is called "" there'),
    ],
)
def test_variable_that_names_no_setting_is_refused_by_its_name(problems, variable, expected):
    (found,) = problems(SERVICES, {variable: "1"})

    assert found.startswith(f"{variable}: ")
    assert expected in found


def test_wrong_value_names_the_variable_in_place_of_a_line(problems):
    (found,) = problems("", {"RESILE_RESILE__HTTP__PORT": "many"})

    assert (
        found == 'RESILE_RESILE__HTTP__PORT: resile.http.port: must be a whole number, not "many"'
    )


def test_names_that_differ_in_dash_and_underscore_only_are_ambiguous(problems):
    text = '[service.a-b]\ncommand = ["x"]\n[service.a_b]\ncommand = ["x"]\n'

    (found,) = problems(text, {"RESILE_SERVICE__A_B__CRITICAL": "true"})

    assert "may mean a-b or a_b" in found


def test_internal_and_foreign_variables_are_passed_over(load):
    environ = {"RESILE_DEBUG": "1", "RESILE_GUARD_FD": "3", "PATH": "/bin", "resile_x": "1"}

    assert load("", environ).digest == load("").digest


def test_override_mends_a_key_of_the_wrong_type_in_the_file(load):
    config = load("[resile]\nhttp = 3\n", {"RESILE_RESILE__HTTP__PORT": "1"})

    assert config.resile.http.port == 1


@pytest.mark.parametrize("variable", [MARK, GUARD_FD_VARIABLE])
def test_what_the_guard_gives_to_the_brain_is_no_setting(load, variable):
    assert set(load(SERVICES, {variable: "7"}).service) == {"api", "my-db"}
