"""The table `[drill]`: what would make a drill prove nothing is refused."""

import pytest

LOAD = '[drill.load]\nurl = "http://127.0.0.1:1/"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('body = "x"\nread_back = "list"', "4: drill.load.read_back: no write can be found again"),
        ('body = "{id}"\ntype = "text\\nX-More: y"', "4: drill.load.type: "),
        ('body = "{id}"\ntype = "text/ä"', "is no type (write for example"),
    ],
)
def test_load_that_could_not_be_counted_is_refused(problems, text, expected):
    (problem,) = problems(LOAD + text)

    assert expected in problem


def test_body_without_id_may_be_sent_where_nothing_is_read_back(load):
    found = load(f'{LOAD}body = "x"\ntype = "text/plain; charset=utf-8"').drill.load

    assert found.type == "text/plain; charset=utf-8"
