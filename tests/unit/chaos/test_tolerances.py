"""What a value must be, as both formats write it."""

import pytest

from resile.chaos.experiments.model import PythonCall, ToleranceKind
from resile.chaos.experiments.tolerances import holds, read_tolerance

CALL = PythonCall(module="m", func="f")


def read(data):
    problems = []
    return read_tolerance(data, lambda _data: CALL, problems.append), problems


def met(data, value, judge=lambda _call, _value: False):
    tolerance, problems = read(data)
    assert problems == []
    return holds(tolerance, value, judge)


ANSWER = {"status": 200, "headers": {}, "body": '{"foo": [{"baz": "hello"}, {"baz": "bonjour"}]}'}
OUTPUT = {"status": 0, "stdout": "welcome=hello\n", "stderr": ""}


@pytest.mark.parametrize(
    ("tolerance", "value", "is_met"),
    [
        (True, True, True),
        (True, False, False),
        (True, 1, False),
        (1, True, False),
        (8, 8, True),
        (8.5, 8.5, True),
        ("OK", "OK", True),
        ("OK", "KO", False),
        (200, ANSWER, True),
        (503, ANSWER, False),
        (0, OUTPUT, True),
        ([4, 9], 4, True),
        ([4, 9], 9.5, False),
        ([200, 299], ANSWER, True),
        ([4, 9, 78], 78, True),
        ([4, 9, 78], 5, False),
        (["UP", "DEGRADED"], "UP", True),
        (["UP", "DEGRADED"], "DOWN", False),
        ({"type": "range", "range": [4.6, 8.9]}, 4.6, True),
        ({"type": "range", "range": [4.6, 8.9]}, "7", True),
        ({"type": "range", "range": [4.6, 8.9]}, "seven", False),
        ({"type": "range", "range": [4, 8]}, None, False),
        ({"type": "range", "range": [0, 1], "target": "status"}, OUTPUT, True),
        ({"type": "regex", "pattern": "[0-9]{3}"}, "a 123", True),
        ({"type": "regex", "pattern": "[0-9]{3}"}, "a 12", False),
        ({"type": "regex", "pattern": "^12$"}, 12, True),
        ({"type": "regex", "pattern": "welcome=hello", "target": "stdout"}, OUTPUT, True),
        ({"type": "regex", "pattern": "bonjour", "target": "stdout"}, OUTPUT, False),
        ({"type": "jsonpath", "path": "foo[*].baz"}, {"foo": [{"baz": 4}]}, True),
        ({"type": "jsonpath", "path": "foo[*].baz"}, {"foo": []}, False),
        ({"type": "jsonpath", "path": "foo[*].baz", "expect": 4}, {"foo": [{"baz": 4}]}, True),
        ({"type": "jsonpath", "path": "foo[*].baz", "expect": 5}, {"foo": [{"baz": 4}]}, False),
        (
            {"type": "jsonpath", "path": "$.foo.*[?(@.baz)].baz", "count": 2, "target": "body"},
            ANSWER,
            True,
        ),
        (
            {"type": "jsonpath", "path": "$.foo.*[?(@.baz)].baz", "count": 3, "target": "body"},
            ANSWER,
            False,
        ),
        (
            {
                "type": "jsonpath",
                "path": "$.foo.*[?(@.baz)].baz",
                "expect": ["hello", "bonjour"],
                "target": "body",
            },
            ANSWER,
            True,
        ),
        ({"type": "jsonpath", "path": "$.a"}, "no json", False),
    ],
)
def test_a_value_is_judged_as_it_is_written(tolerance, value, is_met):
    assert met(tolerance, value) is is_met


def test_a_probe_judges_with_the_value():
    heard = []

    def judge(call, value):
        heard.append((call, value))
        return True

    assert met({"type": "probe", "provider": {}}, OUTPUT, judge)
    assert heard == [(CALL, OUTPUT)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"type": "xpath"}, "no type 'xpath'"),
        ({}, "no type 'None'"),
        ({"type": "range"}, "two numbers"),
        ({"type": "range", "range": [1, "2"]}, "two numbers"),
        ({"type": "regex", "pattern": "("}, "is none"),
        ({"type": "regex"}, "needs a pattern"),
        ({"type": "jsonpath"}, "path is empty"),
        ({"type": "jsonpath", "path": "$["}, "cannot be read"),
        (None, "nothing"),
    ],
)
def test_what_cannot_be_judged_is_told(data, problem):
    _, problems = read(data)

    assert problem in problems[0]


def test_a_list_of_two_numbers_is_a_range_and_of_two_words_is_not():
    assert read([1, 2])[0].kind is ToleranceKind.RANGE
    assert read(["a", "b"])[0].kind is ToleranceKind.ONE_OF
