"""Equal crashes have one fingerprint, different ones have different ones; what is shown keeps secrets."""

import pytest

from resile.core.vocabulary import EndKind
from resile.health.ends import fingerprint, shown
from resile.health.ends.complaints import COMPLAINT_LENGTH_MAX, last_complaint
from resile.health.ends.fingerprint import normalised


def of(**known: object) -> str:
    fields: dict[str, object] = {"exit_code": 1, "signal": "", **known}
    return fingerprint(EndKind.EXIT, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'ann'", "KeyError: 'bob'"),
        ("no user 17", "no user 4711"),
        ("timed out after 1.5 s", "timed out after 12.25 s"),
        ("<Conn at 0x7f00aa> is lost", "<Conn at 0x55beef> is lost"),
        ("cannot open /tmp/abc/x.db: gone", "cannot open /tmp/xyz/y.db: gone"),
        (
            "job 0f8fad5b-d9cb-469f-a165-70867728950e failed",
            "job 7c9e6679-7425-40de-944b-e07fc1f90ae7 failed",
        ),
        ("2026-01-01 10:00:01,123 ERROR lost", "2026-02-11 23:59:59,999 ERROR lost"),
    ],
)
def test_what_differs_from_crash_to_crash_does_not_count(one: str, other: str) -> None:
    assert of(error=one) == of(error=other)


@pytest.mark.parametrize(
    "other",
    [
        {"error": "TypeError: boom"},
        {"exit_code": 2},
        {"exit_code": None, "signal": "SIGSEGV"},
        {"frames": ("a.py:g", "a.py:f")},
        {"check": "api.live: no answer"},
    ],
)
def test_different_crashes_are_different_problems(other: dict[str, object]) -> None:
    one: dict[str, object] = {"error": "ValueError: boom", "frames": ("a.py:f",)}

    assert of(**one) != of(**{**one, **other})


def test_hang_is_one_problem_whatever_ended_it() -> None:
    hang = "api.live: no answer within 1s"

    assert of(exit_code=None, signal="SIGABRT", check=hang) == of(
        exit_code=None, signal="SIGKILL", check="api.live: no answer within 2s"
    )


def test_fingerprint_is_short_and_the_same_for_ever() -> None:
    assert of(error="ValueError: boom") == "200b513da9cb"


def test_normalised_text_stays_readable() -> None:
    assert normalised("Error 17: 'x' at 0xAF in /srv/a.py") == "error #: '' at # in /"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach postgres://app:hunter2@db:5432/x", "cannot reach postgres://…@db:5432/x"),
        ("login failed, password=hunter2, user=ann", "login failed, password=…, user=ann"),
        ('{"api_key": "abc", "error": 1}', '{"api_key": …, "error": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: …"),
        ("refused: bearer abc.def", "refused: bearer …"),
        ("bad key sk1live9a8b7c6d5e4f3a2b1c0d", "bad key …"),
        ("\x1b[31mError:\x1b[0m  two\twords\x00", "Error: two words"),
    ],
)
def test_what_is_shown_holds_no_secret_and_is_one_line(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_what_is_shown_is_short() -> None:
    assert len(shown("error " * 1000)) == COMPLAINT_LENGTH_MAX


def test_last_complaint_is_none_where_nothing_sounds_like_one() -> None:
    assert last_complaint(["request 1 done", "request 2 done"]) == ""


def test_complaint_of_long_ago_is_not_taken() -> None:
    assert last_complaint(["Error: old", *["fine"] * 20]) == ""
