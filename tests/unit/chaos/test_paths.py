"""Values out of JSON data by a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.chaos.experiments.paths import parse_path, values_at

DATA = {
    "store": {"book": [{"title": "a", "price": 8}, {"title": "b", "price": 20, "isbn": "x"}]},
    "a key": 1,
    "empty": [],
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$", [DATA]),
        ("$.store.book[0].title", ["a"]),
        ("store.book[-1].title", ["b"]),
        ("$.store.book[2]", []),
        ("$['a key']", [1]),
        ('$["a key"]', [1]),
        ("$.store.book[*].price", [8, 20]),
        ("$.store.*.title", []),
        ("$..title", ["a", "b"]),
        ("$.store.book[?(@.isbn)].title", ["b"]),
        ("$.store.book[?(@.price < 10)].title", ["a"]),
        ("$.store.book[?(@.price >= 20)].title", ["b"]),
        ("$.store.book[?(@.title == 'b')].price", [20]),
        ('$.store.book[?(@.title != "b")].price', [8]),
        ("$.store.book[?(@.title < 3)].price", []),
        ("$.nowhere.at.all", []),
        ("$.empty[*]", []),
    ],
)
def test_a_path_gives_what_it_leads_to(path, values):
    assert values_at(parse_path(path), DATA) == values


@pytest.mark.parametrize("path", ["", "  ", "$[", "$.a[?(@.b == nonsense)]", "$.a b", "$[1:2]"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match=r"path|value"):
        parse_path(path)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        parts = parse_path(text)
    except ValueError:
        return
    values_at(parts, DATA)
