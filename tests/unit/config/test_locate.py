"""The line of each key, in every way that TOML can be written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.config.locate import line_of, locate

DOCUMENT = '''\
# a comment with = and [brackets]
title = "x"

[service.a]            # line 4
command = ["python",   # a comment, with "quotes" in it
  "-m",
  "app",
]
ready = { http = "http://h/?a=b#c", interval = "1s" }
"quoted key" = 1
'single' = 2
dotted.key.deep = 3
text = """
[not.a.table]
not_a_key = 1
"""
after = 4
raw = \'\'\'
also = "not" a key \'\'\'
empty = ""
five = """ends in quotes"""""
escaped = "a \\" quote"
[ service . "b.c" ]
command = ["x"]

[[item]]
name = "first"
[[item]]
name = "second"
[item.sub]
deep = true
nested = [ { a = 1 },
  { b = [ 2,
     3 ] } ]
'''

LINES = {
    ("title",): 2,
    ("service", "a"): 4,
    ("service", "a", "command"): 5,
    ("service", "a", "command", 0): 5,
    ("service", "a", "command", 1): 6,
    ("service", "a", "command", 2): 7,
    ("service", "a", "ready"): 9,
    ("service", "a", "ready", "interval"): 9,
    ("service", "a", "quoted key"): 10,
    ("service", "a", "single"): 11,
    ("service", "a", "dotted"): 12,
    ("service", "a", "dotted", "key", "deep"): 12,
    ("service", "a", "text"): 13,
    ("service", "a", "after"): 17,
    ("service", "a", "raw"): 18,
    ("service", "a", "empty"): 20,
    ("service", "a", "five"): 21,
    ("service", "a", "escaped"): 22,
    ("service", "b.c"): 23,
    ("service", "b.c", "command"): 24,
    ("item",): 26,
    ("item", 0): 26,
    ("item", 0, "name"): 27,
    ("item", 1): 28,
    ("item", 1, "name"): 29,
    ("item", 1, "sub"): 30,
    ("item", 1, "sub", "deep"): 31,
    ("item", 1, "sub", "nested", 0, "a"): 32,
    ("item", 1, "sub", "nested", 1, "b", 1): 34,
}


@pytest.mark.parametrize(("path", "line"), LINES.items())
def test_key_is_found_on_its_line(path, line):
    assert locate(DOCUMENT)[path] == line


def test_every_key_of_the_document_is_found():
    assert paths(tomllib.loads(DOCUMENT)) <= set(locate(DOCUMENT))


def test_text_inside_strings_is_no_key():
    found = locate(DOCUMENT)

    assert not [path for path in found if "not_a_key" in path or "also" in path]


def test_missing_key_falls_back_to_the_table_around_it():
    lines = locate("\n\n[service.a]\ncommand = []\n")

    assert line_of(lines, ("service", "a", "ready", "http")) == 3
    assert line_of(lines, ("service", "b")) == 3
    assert line_of(lines, ("group",)) == 1


def test_escaped_key_is_found_by_its_meaning():
    assert locate('"a\\u0062\\"c" = 1\n') == {('ab"c',): 1}


def test_crlf_lines_are_counted_once():
    assert locate("a = 1\r\n\r\nb = 2\r\n")[("b",)] == 3


@pytest.mark.parametrize(
    "text", ["= 1", "[", "a", "a = {", "a = [", 'a = "', "]", "a = }", '"', "."]
)
def test_document_that_is_broken_comes_to_an_end(text):
    assert isinstance(locate(text), dict)


KEYS = st.one_of(
    st.sampled_from(["a", "b-c", "d_e", "0"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
)
SCALARS = st.sampled_from(
    ["1", "-1.5e3", "true", '"a = [b] # {c}"', "'\\'", '"\\\\"', '"""\n"x" = 1\n"""', "''''a'''"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n # no = key\n" + ",\n".join(items) + "]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{k} = {v}" for k, v in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@given(
    st.lists(st.tuples(st.sampled_from(["", "[t]", "[t.u]", "[[l]]"]), KEYS, VALUES), max_size=6)
)
def test_every_key_of_any_document_is_found(entries):
    text = "".join(f"{head}\n{key} = {value}\n" for head, key, value in entries)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        locate(text)  # what tomllib refuses must at least not fail
        return

    assert paths(data) <= set(locate(text))


def paths(value, at=()):
    found = {at} if at else set()
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found |= paths(item, (*at, key)) if isinstance(item, dict | list) else {(*at, key)}
    return found
