"""Credentials that Vault makes: their leases, and the token that they live by."""

from collections.abc import Callable

import pytest
from tests.support.vault_kv import FakeKv

from resile.errors import SecretDeniedError, SecretRevokedError, UnknownSecretError
from resile.secrets.providers.vault import VaultProvider
from resile.testing import FakeClock

NAME = "dynamic/database/creds/app"
ISSUED = {
    "lease_id": "database/creds/app/xyz",
    "lease_duration": 30,
    "renewable": True,
    "data": {"username": "v-app", "password": "p"},
}


def test_credential_is_made_when_it_is_read(provider: VaultProvider, vault: FakeKv) -> None:
    vault.answers["database/creds/app"] = (200, ISSUED)

    secret = provider.read(NAME)

    assert secret.fields() == {"username": "v-app", "password": "p"}
    assert (secret.version, secret.lease_id) == ("xyz", "database/creds/app/xyz")
    assert secret.lease_s == 30
    assert provider.history(NAME) == ()


def test_nothing_else_is_reached_through_a_dynamic_name(
    provider: VaultProvider, vault: FakeKv
) -> None:
    for path in ("sys/seal-status", "secret/data/a", "creds/app", "auth/token/lookup-self"):
        with pytest.raises(UnknownSecretError, match="no credential"):
            provider.read(f"dynamic/{path}")
    with pytest.raises(UnknownSecretError):
        provider.read(NAME, version="previous")

    assert vault.requests == []


def test_nobody_writes_what_vault_makes(provider: VaultProvider) -> None:
    uses: tuple[Callable[[], object], ...] = (
        lambda: provider.write(NAME, b"x", token="one"),
        lambda: provider.promote(NAME, token="one", expect=None),
        lambda: provider.discard(NAME, token="one"),
        lambda: provider.destroy(NAME, "current"),
    )
    for use in uses:
        with pytest.raises(SecretDeniedError, match="made by Vault"):
            use()


def test_lease_is_promised_no_longer_than_its_token_lives(
    provider: VaultProvider, vault: FakeKv, clock: FakeClock
) -> None:
    vault.answers["database/creds/app"] = (200, {**ISSUED, "lease_duration": 3600})
    vault.answers["sys/leases/renew"] = (200, {"lease_duration": 3600})

    assert provider.read(NAME).lease_s == 60
    clock.advance(10)
    assert provider.renew("database/creds/app/xyz", for_s=3600) == 50
    clock.advance(31)
    assert provider.renew("database/creds/app/xyz", for_s=3600) == 60
    assert vault.renewals == 1


def test_lease_of_a_token_that_was_replaced_is_not_relied_on(
    provider: VaultProvider, vault: FakeKv, clock: FakeClock
) -> None:
    vault.answers["database/creds/app"] = (200, ISSUED)
    vault.answers["sys/leases/renew"] = (200, {"lease_duration": 30})
    provider.read(NAME)
    clock.advance(61)

    for lease_id in ("database/creds/app/xyz", "database/creds/app/of-another-process"):
        with pytest.raises(SecretRevokedError, match="was replaced"):
            provider.renew(lease_id, for_s=30)


def test_revoked_lease_gets_no_more_time(provider: VaultProvider, vault: FakeKv) -> None:
    vault.answers["database/creds/app"] = (200, ISSUED)
    vault.answers["sys/leases/revoke"] = (204, b"")
    vault.answers["sys/leases/renew"] = (400, {"errors": ["lease not found"]})
    lease_id = provider.read(NAME).lease_id

    for _ in range(2):
        provider.revoke(lease_id)

    with pytest.raises(SecretRevokedError, match="has ended"):
        provider.renew(lease_id, for_s=30)


def test_what_is_known_of_leases_is_bounded(
    provider: VaultProvider, vault: FakeKv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.secrets.providers.vault_leases.LEASES_MAX", 3)
    for number in range(10):
        made = {**ISSUED, "lease_id": f"database/creds/app/{number}"}
        vault.answers["database/creds/app"] = (200, made)
        provider.read(NAME)

    assert len(provider._leases._tokens) == 3
