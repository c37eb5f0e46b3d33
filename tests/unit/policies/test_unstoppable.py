"""Plain functions that a time-out has no way to stop are refused, and where."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.support.reloads import without_guards

import resile
from resile import Timeout
from resile.errors import ConfigError
from resile.policies.registry import REGISTRY
from resile.policies.sections import sections_of


def items() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("function", [len, items, partial(len)])
@pytest.mark.parametrize("policy", [Timeout("2s"), Timeout("2s", total="5s") + resile.Retry()])
def test_a_plain_function_is_not_decorated_without_a_way(policy: Any, function: Any) -> None:
    with pytest.raises(ConfigError, match="nothing can stop a thread") as caught:
        policy(function)

    assert 'by="deadline"' in caught.value.hint


def test_a_guard_with_a_name_refuses_calls_until_a_file_says_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_guards(monkeypatch)
    charge = resile.guard("payments", timeout="2s")(len)
    with pytest.raises(ConfigError, match="nothing can stop a thread"):
        charge("abc")

    REGISTRY.configure(sections_of({"payments": {"timeout": {"by": "deadline"}}}))

    assert charge("abc") == 3
