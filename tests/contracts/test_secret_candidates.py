"""What every provider of secrets that is written to promises of candidates: versions not current yet."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.support.secret_providers import ONE, PENDING, THREE, TWO, WRITERS, stages, token

from resile.core.vocabulary import SecretStage
from resile.errors import SecretConflictError, SecretRevokedError, UnknownSecretError
from resile.secrets import WritableProvider


def test_a_candidate_is_given_to_nobody_who_asks_for_the_current_version(
    provider: WritableProvider, name: str
) -> None:
    first = provider.write(name, ONE, token=token())

    candidate = provider.write(name, TWO, stage=PENDING, expect=first.number, token=token())

    assert candidate.stage is PENDING
    assert provider.read(name).reveal_bytes() == ONE
    pending = provider.read(name, version="pending")
    assert (pending.reveal_bytes(), pending.stage) == (TWO, PENDING)
    assert stages(provider, name) == {"current": first.number, "pending": candidate.number}
    assert provider.history(name)[0].stage is PENDING


def test_a_name_may_begin_with_a_candidate(provider: WritableProvider, name: str) -> None:
    rotation = token()
    provider.write(name, ONE, stage=PENDING, expect="", token=rotation)

    with pytest.raises(UnknownSecretError):
        provider.read(name)
    assert provider.read(name, version="pending").reveal_bytes() == ONE

    provider.promote(name, token=rotation, expect="")

    assert provider.read(name).reveal_bytes() == ONE
    with pytest.raises(UnknownSecretError):
        provider.read(name, version="previous")


def test_a_candidate_of_another_token_is_a_conflict(provider: WritableProvider, name: str) -> None:
    provider.write(name, ONE, token=token())
    provider.write(name, TWO, stage=PENDING, token=token())

    with pytest.raises(SecretConflictError):
        provider.write(name, THREE, stage=PENDING, token=token())

    assert provider.read(name, version="pending").reveal_bytes() == TWO


def test_a_candidate_takes_the_place_of_its_own_token(
    provider: WritableProvider, name: str
) -> None:
    provider.write(name, ONE, token=token())
    rotation = token()
    first = provider.write(name, TWO, stage=PENDING, token=rotation)

    same = provider.write(name, TWO, stage=PENDING, token=rotation)
    provider.write(name, THREE, stage=PENDING, token=rotation)

    assert same.number == first.number
    assert provider.read(name, version="pending").reveal_bytes() == THREE
    assert [one.stage for one in provider.history(name)].count(PENDING) == 1


def test_a_candidate_is_promoted(provider: WritableProvider, name: str) -> None:
    first, rotation = provider.write(name, ONE, token=token()), token()
    provider.write(name, TWO, stage=PENDING, token=rotation)

    now = provider.promote(name, token=rotation, expect=first.number)

    assert now.stage is SecretStage.CURRENT
    assert stages(provider, name) == {"current": now.number, "previous": first.number}
    assert provider.read(name).reveal_bytes() == TWO
    assert provider.read(name).version == now.number
    assert provider.read(name, version="previous").reveal_bytes() == ONE
    with pytest.raises(UnknownSecretError):
        provider.read(name, version="pending")


def test_promoting_twice_is_as_good_as_once(provider: WritableProvider, name: str) -> None:
    first, rotation = provider.write(name, ONE, token=token()), token()
    provider.write(name, TWO, stage=PENDING, token=rotation)

    once = provider.promote(name, token=rotation, expect=first.number)
    twice = provider.promote(name, token=rotation, expect=first.number)

    assert (twice.number, twice.stage) == (once.number, SecretStage.CURRENT)
    assert stages(provider, name) == {"current": once.number, "previous": first.number}


def test_what_was_never_a_candidate_is_not_promoted(provider: WritableProvider, name: str) -> None:
    with pytest.raises(UnknownSecretError):
        provider.promote(name, token=token(), expect=None)
    provider.write(name, ONE, token=token())
    provider.write(name, TWO, stage=PENDING, token=token())

    with pytest.raises(UnknownSecretError):
        provider.promote(name, token=token(), expect=None)

    assert provider.read(name).reveal_bytes() == ONE


def test_a_candidate_is_not_promoted_over_a_version_that_came_meanwhile(
    provider: WritableProvider, name: str
) -> None:
    first, rotation = provider.write(name, ONE, token=token()), token()
    provider.write(name, TWO, stage=PENDING, token=rotation)
    provider.write(name, THREE, token=token())

    with pytest.raises(SecretConflictError):
        provider.promote(name, token=rotation, expect=first.number)

    assert provider.read(name).reveal_bytes() == THREE
    assert provider.read(name, version="pending").reveal_bytes() == TWO


def test_of_many_who_promote_one_candidate_all_get_the_same_version(
    provider: WritableProvider, name: str
) -> None:
    first, rotation = provider.write(name, ONE, token=token()), token()
    provider.write(name, TWO, stage=PENDING, token=rotation)
    barrier = Barrier(WRITERS)

    def promote(_: int) -> str:
        barrier.wait(timeout=30)
        return provider.promote(name, token=rotation, expect=first.number).number

    with ThreadPoolExecutor(WRITERS) as pool:
        numbers = set(pool.map(promote, range(WRITERS)))

    assert numbers == {provider.read(name).version}
    assert provider.read(name, version="previous").reveal_bytes() == ONE


def test_a_discarded_candidate_is_gone_and_the_current_version_is_as_it_was(
    provider: WritableProvider, name: str
) -> None:
    rotation = token()
    provider.discard(name, token=rotation)
    first = provider.write(name, ONE, token=token())
    provider.write(name, TWO, stage=PENDING, token=rotation)
    provider.discard(name, token=token())
    assert provider.read(name, version="pending").reveal_bytes() == TWO

    for _ in range(2):
        provider.discard(name, token=rotation)

    with pytest.raises((UnknownSecretError, SecretRevokedError)):
        provider.read(name, version="pending")
    with pytest.raises(UnknownSecretError):
        provider.promote(name, token=rotation, expect=None)
    assert provider.read(name).version == first.number
    assert stages(provider, name) == {"current": first.number}


def test_a_token_may_begin_again_after_its_candidate_was_discarded(
    provider: WritableProvider, name: str
) -> None:
    first, rotation = provider.write(name, ONE, token=token()), token()
    provider.write(name, TWO, stage=PENDING, token=rotation)
    provider.discard(name, token=rotation)

    provider.write(name, THREE, stage=PENDING, token=rotation)
    provider.promote(name, token=rotation, expect=first.number)

    assert provider.read(name).reveal_bytes() == THREE


def test_discarding_takes_nothing_that_was_promoted(provider: WritableProvider, name: str) -> None:
    rotation = token()
    provider.write(name, TWO, stage=PENDING, token=rotation)
    provider.promote(name, token=rotation, expect="")

    provider.discard(name, token=rotation)

    assert provider.read(name).reveal_bytes() == TWO


def test_a_name_whose_only_candidate_was_discarded_has_no_value(
    provider: WritableProvider, name: str
) -> None:
    rotation = token()
    provider.write(name, TWO, stage=PENDING, token=rotation)

    provider.discard(name, token=rotation)

    for version in ("current", "previous"):
        with pytest.raises(UnknownSecretError):
            provider.read(name, version=version)
