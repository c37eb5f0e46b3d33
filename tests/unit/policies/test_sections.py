"""What `[policy.NAME]` may say, and what it makes of the policies in code."""

import tomllib
from dataclasses import fields
from typing import Any

import pytest

import resile
from resile.errors import ConfigError
from resile.policies import presets
from resile.policies.sections import (
    Section,
    option_names,
    policy_keys,
    section_problems,
    sections_of,
)


def section(text: str) -> Section:
    return sections_of({"x": tomllib.loads(text)})["x"]


def applied(text: str, policy: resile.Policy | None = None) -> tuple[resile.Policy, ...]:
    return section(text).applied(policy).parts()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("retry = 0", [".retry.attempts: 0 is not a whole number in 1..1000"]),
        ("retry.attempt = 3", [".retry.attempt: there is no such option; did you mean 'attempts'?"]),
        ('retry.on = "OSError"', [".retry.on: takes a function or a class, which only code can give"]),
        ('retry.jitter = "fulll"', [".retry.jitter: 'fulll' is none of none, full, equal, decorrelated"]),
        ("retry.budget = 5", [".retry.budget: 5 is neither True nor False"]),
        ("retry.max = false", ['.retry.max: False is not a duration; write "250ms" or seconds']),
        ('timeout = "0"', [".timeout.each: '0' is not a duration; write \"250ms\" or seconds"]),
        ('timeout.total = "99d"', [".timeout.total: '99d' is not in 1ms..30d"]),
        ("breaker = 3", [".breaker: 3 is neither a table nor true nor false"]),
        ("breaker.ratio = 2", [".breaker.ratio: 2 is not a number in 0.001..1"]),
        ("fallback = true", [".fallback: can only be turned off here, by false"]),
        ("fallback.steps = []", [".fallback: can only be turned off here, by false"]),
        ("retries = 3", [".retries: there is no such policy; did you mean 'retry'?"]),
        ("enabled = 1", [".enabled: 1 is neither true nor false"]),
        (
            'preset = "databse"',
            [".preset: there is no preset 'databse'; did you mean 'database'?"],
        ),
        (
            "enabled = 1\nretry.attempts = 0\nretry.multiplier = 0\nbulkhead = 0",
            [
                ".enabled: 1 is neither true nor false",
                ".retry.attempts: 0 is not a whole number in 1..1000",
                ".retry.multiplier: 0 is not a number in 1..100",
                ".bulkhead.limit: 0 is not a whole number in 1..1000000",
            ],
        ),
        ('retry = 3\ntimeout.each = "2s"\nbreaker.ratio = 0.5', []),
    ],
)  # fmt: skip
def test_everything_that_is_wrong_is_told_with_its_place(text: str, problems: list[str]) -> None:
    found = section_problems(tomllib.loads(text))

    assert [f"{at}: {what}" for at, what in found] == problems


@pytest.mark.parametrize("table", [[], {"x": 3}])
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(ConfigError, match=r"write \[policy.NAME\]"):
        sections_of(table)


def test_all_sections_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        sections_of({"a": {"retry": 0}, "b": {"retry": 1}, "c": {"x": 1}})

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "policy.a.retry.attempts", "policy.c.x",
    ]  # fmt: skip


def test_every_option_is_plain_or_left_to_code() -> None:
    """A new option that takes a function has to be named as such; a file could break a guard."""
    for key, kind in policy_keys().items():
        for one in fields(kind):  # type: ignore[arg-type]
            if one.name in option_names(kind):
                assert one.default is None or isinstance(one.default, int | float | str), (key, one)


def test_the_file_changes_single_options_of_the_code() -> None:
    classify = presets.database_verdict
    code = resile.Retry(attempts=2, classify=classify) + resile.Breaker(failures=2)

    assert applied("retry.attempts = 7\nbreaker.failures = 9", code) == (
        resile.Retry(attempts=7, classify=classify),
        resile.Breaker(failures=9),
    )


def test_policies_are_added_turned_off_and_stand_in_the_canonical_order() -> None:
    code = resile.Retry() + resile.Fallback(None)

    assert applied('fallback = false\nbulkhead = 3\ntimeout.total = "9s"', code) == (
        resile.Timeout(total=9),
        resile.Retry(),
        resile.Bulkhead(limit=3),
    )
    assert applied("retry = true", code)[1] == resile.Retry()
    assert applied("retry = false", resile.Retry()) == ()
    assert applied("enabled = false", code) == ()
    assert applied("", code) == code.parts()


def test_a_preset_takes_the_place_of_its_kinds() -> None:
    assert applied('preset = "database"\nretry = 9', resile.Retry() + resile.Timeout(1)) == (
        resile.Retry(
            attempts=9, initial=0.1, max=1.0, multiplier=2.0, classify=presets.database_verdict
        ),
        presets.DATABASE.parts()[1],
        resile.Timeout(1),
    )


@pytest.mark.parametrize(
    ("text", "code", "after"),
    [
        ('timeout = "3s"', resile.Timeout(1, total=9), {"each": 3, "total": 9}),
        ('timeout.total = "3s"', resile.Timeout(1, by="deadline"), {"each": 1, "total": 3}),
        ("timeout.each = false", resile.Timeout(1, total=9), {"total": 9}),
        ("timeout.each = false", resile.Timeout(1), None),
        ("timeout = false", resile.Timeout(1, total=9), None),
    ],
)
def test_both_limits_of_a_timeout_can_be_changed(
    text: str, code: resile.Timeout, after: dict[str, Any] | None
) -> None:
    expected = () if after is None else resile.Timeout(**after, by=code.by).parts()

    assert set(applied(text, resile.Retry() + code)) == {resile.Retry(), *expected}


def test_what_may_be_left_out_can_be_turned_off() -> None:
    assert applied("breaker.slow = false", resile.Breaker(slow=1)) == (resile.Breaker(),)


def test_a_stack_keeps_its_order_and_takes_nothing_new() -> None:
    code = resile.stack(resile.Breaker(), resile.Timeout(1), resile.Retry())

    assert applied('retry = 5\ntimeout = "2s"\nbreaker = false', code) == (
        resile.Timeout(2),
        resile.Retry(attempts=5),
    )
    with pytest.raises(ConfigError) as caught:
        applied('bulkhead = 5\ntimeout.total = "9s"', code)

    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "policy.x.bulkhead", "policy.x.timeout",
    ]  # fmt: skip


def test_options_that_do_not_fit_to_the_code_are_told_with_their_place() -> None:
    text = "breaker.minimum = 60\nretry = 3"
    section_of_file = section(text)

    assert section_of_file.applied(resile.Breaker(ratio=0.5, window_calls=60)) is not None
    with pytest.raises(ConfigError) as caught:
        section_of_file.applied(resile.Breaker(ratio=0.5, window_calls=50))

    assert caught.value.problems == (
        "policy.x.breaker.minimum: 60 calls never are in a window of 50",
    )
