"""How tokens, stages and markers stand in the version ids of AWS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.clients.aws import StoredVersion
from resile.core.vocabulary import SecretStage
from resile.secrets.providers.aws_versions import (
    INDEX_MAX,
    NOTHING_YET,
    candidate,
    current_number,
    destroyed_number,
    index_of,
    is_marker,
    is_number,
    number_of,
    of_token,
    stage_of,
    token_of,
)

ROTATION = "rotation_01JD8Q2V8T3GZ0Y5S6M7N8P9QR"


def version(number: str, *labels: str) -> StoredVersion:
    return StoredVersion(number=number, stages=frozenset(labels))


@given(token=st.text(min_size=1), index=st.integers(0, INDEX_MAX))
def test_every_token_gives_an_id_that_aws_takes(token: str, index: int) -> None:
    number = number_of(token, index)

    assert 32 <= len(number) <= 64
    assert number.isascii()
    assert is_number(number)
    assert not is_marker(number)
    assert number == number_of(token, index)
    assert index_of(number) == index
    assert token_of(number) in (token, "")


@pytest.mark.parametrize("token", ["t", ROTATION, f"{ROTATION}.back", "a-5", "x" * 54, "first a_b"])
def test_a_plain_token_is_read_from_its_id_again(token: str) -> None:
    number = number_of(token, 7)

    assert token_of(number) == ("" if " " in token else token)
    assert of_token([version("other" * 8), version(number)], token) == version(number)


@given(one=st.text(min_size=1), other=st.text(min_size=1), index=st.integers(0, INDEX_MAX))
def test_ids_of_different_tokens_differ(one: str, other: str, index: int) -> None:
    assert (number_of(one, index) == number_of(other, index)) == (one == other)


def test_no_token_passes_for_the_hash_of_another() -> None:
    hashed = number_of("two words", 0)
    body = hashed.removeprefix("resile-").rpartition("-")[0]

    assert number_of(body, 0) != hashed


def test_ids_of_other_tools_have_no_token_of_ours() -> None:
    assert token_of("EXAMPLE1-90ab-cdef-fedc-ba987SECRET1") == ""
    with pytest.raises(AssertionError):
        index_of("EXAMPLE1-90ab-cdef-fedc-ba987SECRET1")


@pytest.mark.parametrize(
    ("labels", "stage"),
    [
        ((), SecretStage.RETIRED),
        (("RESILE_WRITING",), SecretStage.RETIRED),
        (("THEIR_OWN",), SecretStage.RETIRED),
        (("AWSPENDING",), SecretStage.PENDING),
        (("AWSCURRENT",), SecretStage.CURRENT),
        (("AWSCURRENT", "AWSPENDING"), SecretStage.CURRENT),
        (("AWSPREVIOUS", "AWSPENDING"), SecretStage.PREVIOUS),
    ],
)
def test_labels_are_stages(labels: tuple[str, ...], stage: SecretStage) -> None:
    assert stage_of(version("a", *labels)) is stage


def test_a_label_that_a_finished_rotation_left_is_no_candidate() -> None:
    versions = [version("a", "AWSCURRENT", "AWSPENDING")]

    assert candidate(versions) is None
    assert candidate([*versions, version("b", "AWSPENDING")]) == version("b", "AWSPENDING")


def test_a_marker_is_no_current_version() -> None:
    assert current_number([]) == ""
    assert current_number([version("a", "AWSPREVIOUS")]) == ""
    assert current_number([version("a", "AWSCURRENT")]) == "a"
    for marker in (NOTHING_YET, destroyed_number("a")):
        assert is_marker(marker)
        assert is_number(marker)
        assert current_number([version(marker, "AWSCURRENT")]) == ""


def test_of_one_token_the_last_value_counts() -> None:
    versions = [version(number_of("t", index)) for index in (2, 10, 9)]

    assert of_token(versions, "t") == versions[1]
    assert of_token(versions, "other") is None
