"""A log line that says what its fields say."""

from resile.core.log_line import LENGTH_MAX, log_line


def test_the_fields_stand_in_one_line_behind_the_event() -> None:
    fields: dict[str, object] = {"topic": "a", "reason": "two\r\n  lines,\t100 %s"}

    assert log_line("lane.unsaid", fields) == "lane.unsaid topic=a reason=two lines, 100 %s"
    assert log_line("sharing.found", {}) == "sharing.found"


def test_a_line_has_no_password_and_an_end() -> None:
    said = log_line("x", {"reason": "postgres://me:hunter2@db " + "y" * 2 * LENGTH_MAX})

    assert said.startswith("x reason=postgres://me:***@db y")
    assert len(said) == LENGTH_MAX
