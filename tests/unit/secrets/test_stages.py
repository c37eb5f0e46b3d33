"""The rules of stages where the contract of providers does not reach: limits, and what is forgotten."""

from datetime import UTC, datetime

import pytest

from resile.core.vocabulary import SecretStage
from resile.errors import SecretConflictError, UnknownSecretError
from resile.secrets import Version
from resile.secrets.providers.stages import (
    VERSIONS_MAX,
    Shelf,
    destroyed,
    discarded,
    promoted,
    written,
)

AT = datetime(2030, 1, 1, tzinfo=UTC)
CURRENT, PENDING = SecretStage.CURRENT, SecretStage.PENDING


def write(
    shelf: Shelf, token: str, stage: SecretStage = CURRENT, *, is_same: bool = False
) -> Shelf:
    return written(
        shelf, stage=stage, expect=None, token=token, at=AT, has_value=lambda _: is_same
    )[0]


def test_a_candidate_that_was_destroyed_counts_as_never_promoted() -> None:
    shelf = destroyed(write(Shelf(name="a"), "rotation", PENDING), "pending")

    with pytest.raises(UnknownSecretError):
        promoted(shelf, token="rotation", expect=None)
    assert promoted(write(shelf, "rotation", PENDING), token="rotation", expect="")[1].number == "2"


def test_a_candidate_is_not_written_as_current_with_its_own_token() -> None:
    shelf = write(Shelf(name="a"), "rotation", PENDING)

    with pytest.raises(SecretConflictError):
        write(shelf, "rotation", CURRENT, is_same=True)


def test_what_was_promoted_is_found_by_whoever_prepares_it_again() -> None:
    shelf = write(Shelf(name="a"), "rotation", PENDING)
    shelf, _ = promoted(shelf, token="rotation", expect="")

    assert write(shelf, "rotation", PENDING, is_same=True) is shelf
    with pytest.raises(SecretConflictError):
        write(shelf, "rotation", PENDING, is_same=False)


def test_a_number_is_never_given_twice() -> None:
    shelf = write(Shelf(name="a"), "rotation", PENDING)
    shelf = discarded(shelf, token="rotation")

    assert shelf.versions == ()
    assert write(shelf, "other").versions[0].number == "2"


def test_a_candidate_that_was_written_before_the_current_one_moves_behind_it() -> None:
    shelf = write(write(Shelf(name="a"), "rotation", PENDING), "put")

    shelf, now = promoted(shelf, token="rotation", expect=None)

    assert now == shelf.versions[1]
    assert [(one.number, one.stage.value) for one in shelf.versions] == [
        ("2", "previous"),
        ("1", "current"),
    ]


def test_of_very_many_versions_the_oldest_retired_ones_are_forgotten() -> None:
    shelf = write(Shelf(name="a"), "candidate", PENDING)
    for number in range(2 * VERSIONS_MAX):
        shelf = write(shelf, f"{number}")

    stages = [one.stage for one in shelf.versions]

    assert len(stages) == VERSIONS_MAX
    assert stages[:2] == [CURRENT, SecretStage.PREVIOUS]
    assert stages[-1] is PENDING
    assert shelf.versions[-2].number == str(shelf.last - VERSIONS_MAX + 2)
    assert shelf.at(PENDING) == Version(number="1", stage=PENDING, created_at=AT, token="candidate")
