"""Whoever changes a secret: the provider, the consumers and the journal all learn of it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.secret_providers import env_provider, local_provider
from tests.unit.secrets.rotation.kit import NAME, Kit

from resile.core.events import Payload, SecretRevoked, SecretsRekeyed, SecretWritten
from resile.core.vocabulary import SecretStage
from resile.errors import (
    ConfigError,
    OperationError,
    ProviderDownError,
    SecretConflictError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.authority import Authority


@pytest.fixture
def kit(place: Path) -> Iterator[Kit]:
    made = Kit(place)
    yield made
    made.close()


@pytest.fixture
def authority(kit: Kit) -> Authority:
    return Authority(
        kit.provider, None, tell=kit.told.append, clock=kit.clock, consumers=kit.consumers
    )


def with_rotations(kit: Kit) -> Authority:
    return Authority(
        kit.provider,
        kit.rotations(),
        tell=kit.told.append,
        clock=kit.clock,
        consumers=kit.consumers,
    )


# Refused -----------------------------------------------------------------------------------------


def test_a_provider_that_takes_no_values_is_not_changed(kit: Kit) -> None:
    authority = Authority(env_provider({"a": b"x"}), None, tell=kit.told.append, clock=kit.clock)

    for change in (
        lambda: authority.put("a", b"y", who="ann"),
        lambda: authority.revoke("a", "current", who="ann", why="odd"),
        lambda: authority.rekey(who="ann"),
    ):
        with pytest.raises(ConfigError) as caught:
            change()
        assert caught.value.hint

    assert authority.read("a").reveal() == "x"
    assert kit.told == []


def test_a_put_that_expects_another_version_tells_nobody(kit: Kit, authority: Authority) -> None:
    with pytest.raises(SecretConflictError):
        authority.put(NAME, b"new", who="ann", expect="7")

    assert (kit.told, kit.consumers.told) == ([], [])


def test_nothing_is_put_while_a_rotation_is_open(kit: Kit) -> None:
    kit.hold("slow", silent=True)
    authority = with_rotations(kit)
    kit.rotate(kit.rotations(), why="test")

    with pytest.raises(SecretConflictError, match="a rotation of db is open") as caught:
        authority.put(NAME, b"new", who="ann")

    assert "rollback" in caught.value.hint
    assert authority.put("other", b"new", who="ann").number == "1"


def test_there_is_nothing_to_roll_back_to_at_first(kit: Kit, authority: Authority) -> None:
    for name in (NAME, "unknown"):
        with pytest.raises(UnknownSecretError):
            authority.rollback(name, who="ann")

    assert kit.told == []


def test_a_retired_version_does_not_come_back(kit: Kit, authority: Authority) -> None:
    authority.put(NAME, b"new", who="ann")
    kit.provider.destroy(NAME, "1")

    with pytest.raises(SecretRevokedError, match="was retired, and cannot come back"):
        authority.rollback(NAME, who="ann")

    assert authority.read(NAME).reveal() == "new"


def test_an_unknown_version_is_not_revoked(kit: Kit, authority: Authority) -> None:
    for version in ("9", "previous", "pending"):
        with pytest.raises(UnknownSecretError):
            authority.revoke(NAME, version, who="ann", why="odd")

    assert (kit.told, kit.consumers.revoked) == ([], [])


def test_without_a_journal_it_says_what_is_done_and_tells_it_later(kit: Kit) -> None:
    down = [True]

    def tell(payload: Payload) -> None:
        if down:
            raise ProviderDownError("no secret is given")
        kit.told.append(payload)

    authority = Authority(kit.provider, None, tell=tell, clock=kit.clock, consumers=kit.consumers)
    with pytest.raises(OperationError, match="version 2 is written, and is current, but") as caught:
        authority.put(NAME, b"new", who="ann")
    assert "need not be done again" in caught.value.hint
    with pytest.raises(OperationError, match="every version is destroyed, but"):
        authority.revoke(NAME, "", who="ann", why="odd")
    with pytest.raises(ProviderDownError):
        authority.settle()

    down.clear()
    for _ in range(2):
        authority.settle()

    assert [type(one) for one in kit.told] == [SecretWritten, SecretRevoked, SecretRevoked]
    assert kit.consumers.told == [(NAME, "2")]


# Done --------------------------------------------------------------------------------------------


def test_a_new_value_is_told_to_consumers_and_the_journal(kit: Kit, authority: Authority) -> None:
    version = authority.put(NAME, b"new", who="ann", expect="1")

    assert authority.read(NAME).reveal() == "new"
    assert kit.consumers.told == [(NAME, version.number)]
    assert kit.told == [SecretWritten(name=NAME, number="2", who="ann")]
    assert authority.names() == (NAME,)
    assert [one.number for one in authority.history(NAME)] == ["2", "1"]


def test_a_rollback_is_a_new_version_with_the_value_before(kit: Kit, authority: Authority) -> None:
    first = kit.provider.read(NAME)
    authority.put(NAME, b"bad", who="ann")

    version = authority.rollback(NAME, who="bob")

    assert version.number == "3"
    assert authority.read(NAME) == first
    assert authority.read(NAME, version="previous").reveal() == "bad"
    assert kit.told[-1] == SecretWritten(name=NAME, number="3", who="bob", is_rollback=True)
    assert kit.consumers.told[-1] == (NAME, "3")


def test_a_rollback_calls_an_open_rotation_off(kit: Kit) -> None:
    """Else the rotation would kill the credential that was just brought back."""
    first = kit.provider.read(NAME)
    kit.hold("slow", silent=True)
    authority = with_rotations(kit)
    report = kit.rotate(kit.rotations())
    assert report.waits_for == ("slow",)
    assert kit.provider.read(NAME) != first

    version = authority.rollback(NAME, who="bob")

    assert kit.provider.read(NAME) == first
    assert version.stage is SecretStage.CURRENT
    assert version.number == kit.provider.read(NAME).version
    assert kit.works()


@pytest.mark.parametrize("version", ["1", "previous"])
def test_a_revoked_version_is_gone_and_everybody_drops_it(
    kit: Kit, authority: Authority, version: str
) -> None:
    authority.put(NAME, b"new", who="ann")
    kit.told.clear()

    for _ in range(2):
        authority.revoke(NAME, "1", who="ann", why="on a slide")

    with pytest.raises(SecretRevokedError):
        kit.provider.read(NAME, version=version)
    assert authority.read(NAME).reveal() == "new"
    assert kit.consumers.revoked == [(NAME, "1")] * 2
    assert kit.told == [SecretRevoked(name=NAME, number="1", who="ann", why="on a slide")] * 2


def test_all_versions_are_revoked_at_once(kit: Kit, authority: Authority) -> None:
    authority.put(NAME, b"new", who="ann")
    kit.provider.write(NAME, b"candidate", stage=SecretStage.PENDING, token="other tool")
    kit.told.clear()

    authority.revoke(NAME, "", who="ann", why="everything leaked")

    assert {one.stage for one in authority.history(NAME)} == {SecretStage.RETIRED}
    assert kit.consumers.revoked == [(NAME, "")]
    assert [event.number for event in kit.told] == ["3", "2", "1"]  # type: ignore[attr-defined]


def test_a_revoked_current_version_can_be_replaced(kit: Kit, authority: Authority) -> None:
    authority.revoke(NAME, "current", who="ann", why="leaked")
    with pytest.raises(SecretRevokedError):
        authority.read(NAME)

    authority.put(NAME, b"new", who="ann", expect="")

    assert authority.read(NAME).reveal() == "new"


def test_a_change_whose_journal_fails_is_done_all_the_same_and_fails_loudly(kit: Kit) -> None:
    def fail(_: object) -> None:
        raise ProviderDownError("it could not be recorded")

    authority = Authority(kit.provider, None, tell=fail, clock=kit.clock, consumers=kit.consumers)

    with pytest.raises(OperationError):
        authority.revoke(NAME, "1", who="ann", why="leaked")

    assert kit.consumers.revoked == [(NAME, "1")]
    with pytest.raises(SecretRevokedError):
        authority.read(NAME)


def test_a_new_master_key_is_told(kit: Kit, place: Path) -> None:
    with closing(local_provider(place / "store")) as provider:
        authority = Authority(provider, None, tell=kit.told.append, clock=kit.clock)
        authority.put("a", b"x", who="ann")

        assert authority.rekey(who="ann") == 1

    assert kit.told[-1] == SecretsRekeyed(versions=1, who="ann")


def test_without_consumers_it_is_the_same(kit: Kit) -> None:
    authority = Authority(kit.provider, None, tell=kit.told.append, clock=kit.clock)

    authority.put(NAME, b"new", who="ann")
    authority.revoke(NAME, "1", who="ann", why="old")

    assert [event.kind for event in kit.told] == ["secret.written", "secret.revoked"]
