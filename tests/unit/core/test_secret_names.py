import pytest

from resile.core.secret_names import SECRET_NAME_LENGTH_MAX, is_secret_name

BAD = (
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", ".hidden", "a/.b", "-a"),
    *(
        "a/-b",
        "a b",
        "a\n",
        "a\0",
        "é",
        "\u0661",
        "a\\b",
        "a:b",
        "x" * (SECRET_NAME_LENGTH_MAX + 1),
    ),
)


@pytest.mark.parametrize("name", BAD)
def test_what_could_be_mistaken_for_something_else_is_no_name(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["a", "db/password", "_x", "9", "a.b-c_d/E/f..g", "x" * SECRET_NAME_LENGTH_MAX]
)
def test_parts_with_slashes_between_them_are_a_name(name: str) -> None:
    assert is_secret_name(name)
