"""Rotating a key of the transit engine: each step can be made again, and refusals are told."""

import base64
import json
from typing import Any

import httpx
import pytest
from tests.support.vault_kv import FakeKv

from resile.core.vocabulary import RotationReason
from resile.errors import (
    ConfigError,
    OperationError,
    ProviderDownError,
    SecretDamagedError,
    SecretError,
    UnknownSecretError,
)
from resile.secrets import Rotator, Secret, Turn
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.rotators.transit import TransitRotator
from resile.testing.secrets import FakeProvider


class Key:
    """The key `app`, as the engine keeps it."""

    def __init__(self, vault: FakeKv) -> None:
        self.info: dict[str, Any] = {
            "latest_version": 3,
            "min_decryption_version": 1,
            "min_encryption_version": 0,
            "supports_encryption": True,
        }
        self.plain = ""
        vault.answers["transit/keys/app"] = lambda _: (200, {"data": self.info})
        vault.answers["transit/keys/app/rotate"] = self._rotate
        vault.answers["transit/keys/app/config"] = self._configure
        vault.answers["transit/encrypt/app"] = self._encrypt
        vault.answers["transit/decrypt/app"] = lambda _: (200, {"data": {"plaintext": self.plain}})

    def _rotate(self, _: httpx.Request) -> tuple[int, Any]:
        self.info["latest_version"] += 1
        return 200, {"data": self.info}

    def _configure(self, request: httpx.Request) -> tuple[int, Any]:
        self.info.update(json.loads(request.content))
        return 204, b""

    def _encrypt(self, request: httpx.Request) -> tuple[int, Any]:
        body = json.loads(request.content)
        if body["key_version"] > self.info["latest_version"]:
            return 400, {"errors": ["no such key version"]}
        self.plain = body["plaintext"]
        return 200, {"data": {"ciphertext": "vault:v4:x"}}


@pytest.fixture
def key(vault: FakeKv) -> Key:
    return Key(vault)


@pytest.fixture
def rotator(key: Key, provider: VaultProvider) -> TransitRotator:
    return TransitRotator.open({"kind": "transit", "key": "app"}, provider=provider)


def turn(*, before: bytes | None = None, after: bytes | None = None) -> Turn:
    return Turn(
        rotation_id="rot_1",
        name="app/key",
        reason=RotationReason.MANUAL,
        before=None if before is None else Secret("app/key", "1", before),
        after=None if after is None else Secret("app/key", "2", after),
    )


def test_rotation_goes_through_and_each_step_may_be_made_again(
    rotator: TransitRotator, key: Key
) -> None:
    checked: Rotator = rotator
    assert checked.has_overlap
    before = b'{"version": "3"}'

    values = {rotator.prepare(turn(before=before)) for _ in range(2)}
    after = values.pop()
    for _ in range(2):
        rotator.set(turn(before=before, after=after))
        rotator.verify(turn(before=before, after=after))
    overlapping = dict(key.info)
    for _ in range(2):
        rotator.retire(turn(before=before, after=after))

    assert values == set()
    assert json.loads(after) == {"key": "app", "mount": "transit", "version": "4"}
    assert (overlapping["latest_version"], overlapping["min_decryption_version"]) == (4, 1)
    assert (key.info["min_decryption_version"], key.info["min_encryption_version"]) == (4, 0)


def test_version_that_another_tool_made_is_not_made_again(
    rotator: TransitRotator, key: Key
) -> None:
    after = rotator.prepare(turn())
    key.info["latest_version"] = 7

    rotator.set(turn(after=after))

    assert key.info["latest_version"] == 7


def test_limits_that_are_higher_already_stay(rotator: TransitRotator, key: Key) -> None:
    key.info.update(latest_version=9, min_decryption_version=6, min_encryption_version=8)

    rotator.retire(turn(before=b'{"version": "3"}', after=b'{"version": "4"}'))

    assert (key.info["min_decryption_version"], key.info["min_encryption_version"]) == (6, 8)


def test_first_rotation_retires_nothing_and_abort_takes_nothing(
    rotator: TransitRotator, key: Key
) -> None:
    after = rotator.prepare(turn())
    rotator.set(turn(after=after))
    rotator.retire(turn(after=after))
    rotator.abort(turn(after=after))

    assert (key.info["latest_version"], key.info["min_decryption_version"]) == (4, 1)


def test_key_that_is_not_there_or_does_not_encrypt_is_refused(
    rotator: TransitRotator, key: Key, vault: FakeKv
) -> None:
    key.info["supports_encryption"] = False
    with pytest.raises(SecretError, match="does not encrypt"):
        rotator.prepare(turn())

    del vault.answers["transit/keys/app"]
    with pytest.raises(UnknownSecretError, match="transit key 'app'"):
        rotator.prepare(turn())


def test_verifying_what_was_not_made_fails(rotator: TransitRotator) -> None:
    with pytest.raises(SecretError, match="no such key version"):
        rotator.verify(turn(after=b'{"version": "4"}'))


def test_key_that_gives_another_text_is_told_of(rotator: TransitRotator, vault: FakeKv) -> None:
    other = base64.b64encode(b"other").decode()
    vault.answers["transit/decrypt/app"] = (200, {"data": {"plaintext": other}})

    with pytest.raises(OperationError, match="something else") as caught:
        rotator.verify(turn(after=b'{"version": "3"}'))

    assert not caught.value.is_transient


def test_server_that_is_away_is_a_reason_to_try_again(
    rotator: TransitRotator, vault: FakeKv
) -> None:
    vault.trouble = httpx.ConnectError("refused")

    for step in (rotator.prepare, rotator.set, rotator.verify):
        with pytest.raises(ProviderDownError) as caught:
            step(turn(after=b'{"version": "4"}'))
        assert caught.value.is_transient


def test_version_of_before_is_retired_although_the_new_one_was_revoked(
    rotator: TransitRotator, key: Key
) -> None:
    rotator.retire(turn(before=b'{"version": "3"}'))

    assert key.info["min_decryption_version"] == 4


def test_candidate_without_a_version_is_damage(rotator: TransitRotator) -> None:
    with pytest.raises(SecretDamagedError, match="names no version"):
        rotator.verify(turn(after=b'{"version": "four"}'))
    with pytest.raises(AssertionError):
        rotator.verify(turn())


def test_keys_are_rotated_only_where_the_secrets_are() -> None:
    with pytest.raises(ConfigError, match="needs the provider vault"):
        TransitRotator.open({"key": "app"}, provider=FakeProvider())
