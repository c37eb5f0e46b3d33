import pytest

from resile.core.recurrence import is_rule


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "FREQ",
            "FREQ=",
            "=DAILY",
            "every Sunday",
            "freq=daily",
            "FREQ=DAILY;",
            "FREQ=DAILY\n",
        ),
        *("FREQ=SECONDLY", "FREQ=MINUTELY;INTERVAL=99", "BYDAY=SU", "FREQ=DAILY;COUNT=3"),
        *("FREQ=DAILY;UNTIL=20300101T000000Z", "FREQ=DAILY\nRRULE:FREQ=WEEKLY"),
    ],
)
def test_what_is_no_rule(text: str) -> None:
    assert not is_rule(text)


@pytest.mark.parametrize(
    "text",
    [
        *("FREQ=HOURLY", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3", "BYMONTHDAY=-1;FREQ=MONTHLY;INTERVAL=2"),
        "FREQ=MONTHLY;BYDAY=+1SU,-1MO",
    ],
)
def test_what_is_a_rule(text: str) -> None:
    assert is_rule(text)
