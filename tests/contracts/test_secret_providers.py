"""What every provider of secrets promises, wherever they are kept; of candidates see test_secret_candidates.py.

A provider joins by a `Case` in tests/support/secret_providers.py.
"""

import itertools
import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.support.secret_providers import (
    FOUR,
    ONE,
    PENDING,
    THREE,
    TWO,
    WRITERS,
    Case,
    Reader,
    stages,
    token,
)

from resile.core.vocabulary import SecretStage
from resile.errors import (
    SecretConflictError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import (
    NAME_LENGTH_MAX,
    VALUE_BYTES_MAX,
    Version,
    WritableProvider,
)

NOT_TEXT = bytes(range(256)) * 3
BAD_NAMES = (
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    "..",
    "a/../b",
    ".hidden",
    "-a",
    "a b",
    "a\n",
    "a\0b",
    "é",
)


# Reading, of all ---------------------------------------------------------------------------------


def test_what_is_no_name_is_unknown(reader: Reader) -> None:
    provider = reader({})

    for bad, use in itertools.product(BAD_NAMES, (provider.read, provider.history)):
        with pytest.raises(UnknownSecretError):
            use(bad)


def test_an_unknown_name_is_named_with_a_hint(reader: Reader, name: str) -> None:
    provider = reader({})

    for use in (lambda: provider.read(name), lambda: provider.history(name)):
        with pytest.raises(UnknownSecretError, match=name) as caught:
            use()
        assert caught.value.hint
    assert name not in provider.names()


def test_an_unknown_version_is_unknown(reader: Reader, name: str) -> None:
    provider = reader({name: ONE})

    for version in ("previous", "pending", "999", "nonsense", "", "retired"):
        with pytest.raises(UnknownSecretError):
            provider.read(name, version=version)


def test_a_value_is_read_as_it_was_put_in(reader: Reader, name: str) -> None:
    other = name.replace("password", "other-key")
    provider = reader({name: ONE, other: TWO})

    secret = provider.read(name)

    assert secret.name == name
    assert secret.reveal_bytes() == ONE
    assert secret.stage is SecretStage.CURRENT
    assert provider.read(other).reveal() == TWO.decode()


def test_a_version_is_read_by_its_number_too(reader: Reader, name: str) -> None:
    provider = reader({name: ONE})
    (version,) = provider.history(name)

    secret = provider.read(name, version=version.number)

    assert secret == provider.read(name)
    assert secret.version == version.number == provider.read(name).version
    assert version.stage is SecretStage.CURRENT
    assert version.created_at == secret.created_at
    assert version.created_at is None or version.created_at.tzinfo is not None


def test_check_says_nothing_where_all_is_well(reader: Reader) -> None:
    reader({}).check()


def test_closing_twice_is_as_good_as_once(reader: Reader, name: str) -> None:
    provider = reader({name: ONE})

    provider.close()
    provider.close()


def test_threads_share_a_provider(reader: Reader, name: str) -> None:
    provider = reader({name: ONE})

    with ThreadPoolExecutor(WRITERS) as pool:
        found = list(pool.map(lambda _: provider.read(name).reveal_bytes(), range(4 * WRITERS)))

    assert set(found) == {ONE}


# Writing -----------------------------------------------------------------------------------------


def test_nothing_is_written_under_what_is_no_name(provider: WritableProvider) -> None:
    uses: tuple[Callable[[str], object], ...] = (
        lambda bad: provider.write(bad, ONE, token=token()),
        lambda bad: provider.promote(bad, token=token(), expect=None),
        lambda bad: provider.destroy(bad, "1"),
    )

    for bad, use in itertools.product(BAD_NAMES, uses):
        with pytest.raises(UnknownSecretError):
            use(bad)


@pytest.mark.parametrize("value", [b"", b"x" * (VALUE_BYTES_MAX + 1)], ids=["empty", "large"])
def test_a_value_out_of_bounds_is_refused(
    provider: WritableProvider, name: str, value: bytes
) -> None:
    with pytest.raises(SecretError, match=f"{len(value)} bytes"):
        provider.write(name, value, token=token())

    assert name not in provider.names()


@pytest.mark.parametrize(
    "value", [b"x", NOT_TEXT, os.urandom(VALUE_BYTES_MAX), b"a" * VALUE_BYTES_MAX, b"{}", b" \n"],
    ids=["one byte", "not text", "64 KiB of anything", "64 KiB of text", "no fields", "blank"],
)  # fmt: skip
def test_any_value_within_bounds_comes_back(
    provider: WritableProvider, name: str, value: bytes
) -> None:
    provider.write(name, value, token=token())

    assert provider.read(name).reveal_bytes() == value


def test_a_long_name_is_a_name(provider: WritableProvider, name: str) -> None:
    long = f"{name}/{'x' * (NAME_LENGTH_MAX - len(name) - 1)}"

    provider.write(long, ONE, token=token())

    assert provider.read(long).reveal_bytes() == ONE
    assert long in provider.names()


def test_fields_of_a_credential_can_be_taken(provider: WritableProvider, name: str) -> None:
    provider.write(name, b'{"username": "app", "password": "p\xc3\xa4ss"}', token=token())

    assert provider.read(name).fields() == {"username": "app", "password": "päss"}


def test_names_are_sorted_and_there_from_the_first_version_on(
    provider: WritableProvider, name: str
) -> None:
    names = [f"{name}-{letter}" for letter in "cab"]

    for each in names:
        provider.write(each, ONE, token=token())

    assert [each for each in provider.names() if each in names] == sorted(names)


def test_the_current_version_becomes_previous_and_the_previous_one_is_retired(
    provider: WritableProvider, name: str
) -> None:
    first, second, third = (provider.write(name, v, token=token()) for v in (ONE, TWO, THREE))

    assert len({first.number, second.number, third.number}) == 3
    assert stages(provider, name) == {"current": third.number, "previous": second.number}
    assert provider.read(name).reveal_bytes() == THREE
    assert provider.read(name, version="previous").reveal_bytes() == TWO
    assert provider.read(name, version="previous").stage is SecretStage.PREVIOUS
    with pytest.raises((SecretRevokedError, UnknownSecretError)):
        provider.read(name, version="pending")


def test_history_has_the_newest_first(provider: WritableProvider, case: Case, name: str) -> None:
    written = [provider.write(name, v, token=token()).number for v in (ONE, TWO, THREE, FOUR)]

    numbers = [one.number for one in provider.history(name)]

    assert numbers[:2] == written[:1:-1]
    if case.keeps_retired:
        assert numbers == written[::-1]
        assert {one.stage for one in provider.history(name)[2:]} == {SecretStage.RETIRED}


def test_a_retired_version_is_given_to_nobody(provider: WritableProvider, name: str) -> None:
    first = provider.write(name, ONE, token=token())
    for value in (TWO, THREE):
        provider.write(name, value, token=token())

    with pytest.raises((SecretRevokedError, UnknownSecretError)):
        provider.read(name, version=first.number)


def test_a_write_that_expects_another_version_changes_nothing(
    provider: WritableProvider, name: str
) -> None:
    for expect in ("1", "999"):
        with pytest.raises(SecretConflictError):
            provider.write(name, ONE, expect=expect, token=token())
    with pytest.raises(UnknownSecretError):
        provider.read(name)
    first = provider.write(name, ONE, expect="", token=token())
    for expect in ("", "999"):
        with pytest.raises(SecretConflictError):
            provider.write(name, TWO, expect=expect, token=token())

    assert stages(provider, name) == {"current": first.number}
    assert provider.read(name).reveal_bytes() == ONE

    second = provider.write(name, TWO, expect=first.number, token=token())

    assert provider.read(name).version == second.number


def test_of_many_writers_that_expect_the_same_exactly_one_wins(
    provider: WritableProvider, name: str
) -> None:
    first = provider.write(name, ONE, token=token())
    barrier = Barrier(WRITERS)

    def race(number: int) -> Version | None:
        barrier.wait(timeout=30)
        try:
            value = f"writer {number}".encode()
            return provider.write(name, value, expect=first.number, token=token())
        except SecretConflictError:
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(race, range(WRITERS)))

    (winner,) = (number for number, outcome in enumerate(outcomes) if outcome)
    assert provider.read(name).reveal() == f"writer {winner}"
    assert provider.read(name, version="previous").reveal_bytes() == ONE


def test_the_same_token_and_value_give_the_same_version(
    provider: WritableProvider, name: str
) -> None:
    same = token()
    first = provider.write(name, ONE, expect="", token=same)

    again = provider.write(name, ONE, expect="", token=same)

    assert again.number == first.number
    assert len(provider.history(name)) == 1


def test_the_same_token_with_another_value_is_a_conflict(
    provider: WritableProvider, name: str
) -> None:
    same = token()
    provider.write(name, ONE, token=same)

    with pytest.raises(SecretConflictError):
        provider.write(name, TWO, token=same)

    assert provider.read(name).reveal_bytes() == ONE


# Destroying --------------------------------------------------------------------------------------


def test_a_destroyed_version_stays_in_the_history_and_is_given_to_nobody(
    provider: WritableProvider, name: str
) -> None:
    first, second = (provider.write(name, value, token=token()) for value in (ONE, TWO))

    for _ in range(2):
        provider.destroy(name, first.number)

    for version in (first.number, "previous"):
        with pytest.raises(SecretRevokedError):
            provider.read(name, version=version)
    assert provider.read(name).reveal_bytes() == TWO
    (gone,) = (one for one in provider.history(name) if one.number == first.number)
    assert gone.stage is SecretStage.RETIRED
    assert stages(provider, name) == {"current": second.number}


def test_a_destroyed_current_version_is_never_given_again(
    provider: WritableProvider, name: str
) -> None:
    first = provider.write(name, ONE, token=token())

    provider.destroy(name, first.number)

    for version in ("current", first.number):
        with pytest.raises(SecretRevokedError):
            provider.read(name, version=version)

    provider.write(name, TWO, token=token())

    assert provider.read(name).reveal_bytes() == TWO


def test_nothing_unknown_is_destroyed(provider: WritableProvider, name: str) -> None:
    with pytest.raises(UnknownSecretError):
        provider.destroy(name, "1")
    provider.write(name, ONE, token=token())

    with pytest.raises(UnknownSecretError):
        provider.destroy(name, "999")

    assert provider.read(name).reveal_bytes() == ONE


# Silence -----------------------------------------------------------------------------------------


def test_no_error_and_no_repr_holds_a_value(provider: WritableProvider, name: str) -> None:
    sentinel = "sentinel-5b1f9c"
    first = provider.write(name, sentinel.encode(), token=token())
    rotation = token()
    provider.write(name, f"{sentinel}-2".encode(), stage=PENDING, token=rotation)
    large = sentinel.encode() * (1 + VALUE_BYTES_MAX // len(sentinel))
    uses: tuple[Callable[[], object], ...] = (
        lambda: provider.write(name, f"{sentinel}-3".encode(), expect="999", token=token()),
        lambda: provider.write(name, f"{sentinel}-4".encode(), stage=PENDING, token=token()),
        lambda: provider.write(name, large, token=token()),
        lambda: provider.write("bad name", sentinel.encode(), token=token()),
        lambda: provider.promote(name, token=rotation, expect="999"),
        lambda: provider.read(name, version="999"),
    )
    said = [repr(provider), repr(provider.read(name)), str(provider.read(name)), repr(first)]

    for use in uses:
        with pytest.raises(SecretError) as caught:
            use()
        said.append(caught.value.report())
        said.append("".join(traceback.format_exception(caught.value)))

    assert not [text for text in said if sentinel in text]
