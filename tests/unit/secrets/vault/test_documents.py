"""How values stand in a document, and come back, whoever has written it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.errors import SecretDamagedError
from resile.secrets.providers.vault_documents import document_of, value_of


@pytest.mark.parametrize(
    ("value", "document"),
    [
        (b"hunter2", {"value": "hunter2"}),
        ("pässword".encode(), {"value": "pässword"}),
        (b"\xff\x00", {"value_base64": "/wA="}),
        (
            b'{"password": "p", "username": "u"}',
            {"username": "u", "password": "p"},
        ),
        (b'{"a": 1, "b": {"c": [null]}}', {"a": 1, "b": {"c": [None]}}),
        (b"[1]", {"value": "[1]"}),
        (b"7", {"value": "7"}),
        (b"{}", {"value": "{}"}),
        (b"{", {"value": "{"}),
    ],
)
def test_value_stands_so_that_other_clients_can_use_it(
    value: bytes, document: dict[str, Any]
) -> None:
    assert document_of(value) == document


@pytest.mark.parametrize(
    "value",
    [
        b'{"value": "x"}',
        b'{"value_base64": "eA=="}',
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_object_that_would_not_come_back_is_kept_as_text(value: bytes) -> None:
    assert document_of(value) == {"value": value.decode()}


@given(st.binary(min_size=1, max_size=200))
def test_bytes_come_back(value: bytes) -> None:
    sent = json.loads(json.dumps(document_of(value)))

    assert value_of("a", sent) == value


@given(st.text(min_size=1, max_size=200))
def test_text_comes_back(text: str) -> None:
    value = text.encode(errors="ignore") or b"x"
    sent = json.loads(json.dumps(document_of(value), sort_keys=True))

    assert value_of("a", sent) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_object_comes_back_as_the_same_object(fields: dict[str, Any]) -> None:
    value = json.dumps(fields).encode()
    sent = json.loads(json.dumps(document_of(value), sort_keys=True))

    assert json.loads(value_of("a", sent)) == fields


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"value": 7}, b'{"value": 7}'),
        ({"value": "x", "note": "y"}, b'{"value": "x", "note": "y"}'),
        ({"password": "p\u00e4ss"}, '{"password": "päss"}'.encode()),
    ],
)
def test_document_of_another_tool_is_read_as_what_it_is(
    fields: dict[str, Any], value: bytes
) -> None:
    assert value_of("a", fields) == value


def test_bytes_that_are_none_are_damage_and_not_shown() -> None:
    with pytest.raises(SecretDamagedError, match="'a' holds no base64") as caught:
        value_of("a", {"value_base64": "hunter2!"})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
