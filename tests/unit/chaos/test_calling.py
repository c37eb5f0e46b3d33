"""Functions and commands that experiments call."""

import pytest
from tests.support.chaotic import QUESTIONS, FakeSystem, question

from resile.chaos import HttpCall, ProcessCall, PythonCall, ServiceCall, Variables
from resile.chaos.experiments.calling import Caller
from resile.errors import OperationError

VARIABLES = Variables(
    configuration={"word": "tea"}, secrets={"till": {"key": "s3cret!"}, "other": {"b": "x"}}
)


@pytest.fixture
def system():
    system = FakeSystem()
    system.add("api")
    return system


@pytest.fixture
def caller(tmp_path, system):
    yield Caller(VARIABLES, folder=tmp_path, system=system)
    QUESTIONS.clear()


def test_a_function_gets_its_arguments_filled_in(caller):
    QUESTIONS["echo"] = lambda **more: more

    assert caller.call(question("echo", what="${word}", n=3)) == {"what": "tea", "n": 3}


def test_a_function_with_a_place_for_them_gets_configuration_and_its_secrets(caller, tmp_path):
    (tmp_path / "chaos_own_probe.py").write_text(
        "def look(a, configuration=None, secrets=None):\n    return [a, configuration, secrets]\n"
    )
    call = PythonCall(module="chaos_own_probe", func="look", arguments={"a": 1}, secrets=("till",))

    assert caller.call(call) == [1, {"word": "tea"}, {"key": "s3cret!"}]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (PythonCall(module="no.such", func="f"), "raised ModuleNotFoundError"),
        (PythonCall(module="os", func="no_such"), "raised AttributeError"),
        (PythonCall(module="os", func="remove", arguments={"path": "/nowhere"}), "FileNotFound"),
        (ProcessCall(path="no-such-program"), "cannot start 'no-such-program'"),
        (ProcessCall(path="sleep", arguments="60", timeout_s=0.05), "did not end within"),
        (ServiceCall(service="none"), "there is no service 'none'"),
        (HttpCall(url="file:///etc/passwd"), "is no URL"),
        (HttpCall(url="${word}"), "is no URL"),
    ],
)
def test_what_fails_is_told(caller, call, message):
    with pytest.raises(OperationError, match=message):
        caller.call(call)


def test_a_failure_shows_no_secret(caller):
    QUESTIONS["leak"] = lambda what: 1 / 0 if not what else (_ for _ in ()).throw(ValueError(what))

    with pytest.raises(OperationError) as caught:
        caller.call(question("leak", what="${key}"))
    assert "s3cret" not in str(caught.value)


def test_a_command_gives_its_status_and_its_output(caller, tmp_path):
    (tmp_path / "a.txt").write_text("hello")

    assert caller.call(ProcessCall(path="cat", arguments=["a.txt"])) == {
        "status": 0,
        "stdout": "hello",
        "stderr": "",
    }
    assert caller.call(ProcessCall(path="grep", arguments="bye a.txt"))["status"] == 1


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ("a 'b c' ${word}", "a|b c|tea|"),
        (["a", 3, "", None], "a|3|"),
        ({"-a": "1", "--flag": ""}, "-a|1|--flag|"),
        ((), ""),
    ],
)
def test_arguments_may_be_a_text_a_list_or_a_table(caller, arguments, output):
    call = ProcessCall(path="sh", arguments=arguments)
    printer = ProcessCall(path="printf", arguments=["%s|", *_words(caller, call)])

    assert caller.call(printer)["stdout"] == (output or "|")


def _words(caller, call):
    from resile.chaos.experiments.calling import _arguments
    from resile.chaos.experiments.filling import fill

    return _arguments(fill(call.arguments, VARIABLES))


def test_a_service_is_looked_at(caller):
    assert caller.call(ServiceCall(service="api")) == "UP"


def test_without_a_daemon_no_service_is_well(caller, system):
    system.is_away = True

    with pytest.raises(OperationError, match="no daemon answers"):
        caller.call(ServiceCall(service="api"))


def test_a_call_that_judges_gets_the_value_and_one_that_fails_says_no(caller):
    QUESTIONS["is"] = lambda value: value == 3

    assert caller.judge(question("is"), 3)
    assert not caller.judge(question("is"), 4)
    assert not caller.judge(question("none"), 4)
    assert caller.judge(ProcessCall(path="true"), None)
    assert not caller.judge(ProcessCall(path="false"), None)
