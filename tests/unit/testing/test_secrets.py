"""The provider in memory fails, denies, dawdles and leases as it is told."""

import pytest

from resile.errors import (
    ProviderDownError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import LeasingProvider, WritableProvider
from resile.testing import FakeClock, FakeProvider


def test_it_is_all_that_a_provider_can_be() -> None:
    provider = FakeProvider({"a": "text", "b": b"\xff"})

    assert isinstance(provider, WritableProvider)
    assert isinstance(provider, LeasingProvider)
    assert provider.read("a").reveal() == "text"
    assert provider.read("b").reveal_bytes() == b"\xff"
    assert list(provider.calls) == [("read", "a"), ("read", "b")]


@pytest.mark.parametrize("switch", ["is_away", "is_sealed"])
def test_while_it_is_away_or_sealed_every_call_fails(switch: str) -> None:
    provider = FakeProvider({"a": "x"})
    provider.retry_after_s = 2.5
    setattr(provider, switch, True)

    for call in (
        lambda: provider.read("a"),
        lambda: provider.history("a"),
        provider.names,
        provider.check,
        lambda: provider.write("a", b"y", token="1"),
        lambda: provider.promote("a", token="1", expect=None),
        lambda: provider.discard("a", token="1"),
        lambda: provider.destroy("a", "1"),
        lambda: provider.renew("x", for_s=1),
        lambda: provider.revoke("x"),
    ):
        with pytest.raises(ProviderDownError) as caught:
            call()
        assert caught.value.retry_after_s == 2.5
    assert len(provider.calls) == 10

    setattr(provider, switch, False)

    assert provider.read("a").reveal() == "x"


def test_a_name_that_is_denied_is_given_to_nobody() -> None:
    provider = FakeProvider({"a": "x", "b": "y"})
    provider.denied.add("a")

    with pytest.raises(SecretDeniedError):
        provider.read("a")
    assert provider.read("b").reveal() == "y"


def test_a_slow_one_lets_time_pass() -> None:
    clock = FakeClock()
    provider = FakeProvider({"a": "x"}, clock=clock)
    provider.slow_s = 3.0

    provider.read("a")

    assert clock.monotonic() == 3.0


def test_a_lease_is_renewed_up_to_its_end_and_no_further() -> None:
    clock = FakeClock()
    provider = FakeProvider({"a": "x", "b": "y"}, clock=clock)
    provider.lease("a", for_s=10, max_s=25)
    secret, other = provider.read("a"), provider.read("a")
    assert (secret.lease_s, provider.read("b").lease_id) == (10, "")
    assert secret.lease_id != other.lease_id

    clock.advance(9)
    assert provider.renew(secret.lease_id, for_s=10) == 10
    assert provider.open_leases("a") == (secret.lease_id, other.lease_id)
    clock.advance(9)
    assert provider.renew(secret.lease_id, for_s=10) == 7
    assert provider.open_leases("a") == (secret.lease_id,)
    clock.advance(7)

    for lease_id in (secret.lease_id, other.lease_id, "unknown"):
        with pytest.raises(SecretRevokedError):
            provider.renew(lease_id, for_s=10)


def test_a_revoked_lease_opens_nothing_any_more() -> None:
    provider = FakeProvider({"a": "x"})
    provider.lease("a", for_s=10, max_s=25)
    lease_id = provider.read("a").lease_id

    for _ in range(2):
        provider.revoke(lease_id)

    assert provider.open_leases("a") == ()
    with pytest.raises(SecretRevokedError):
        provider.renew(lease_id, for_s=1)


def test_what_is_closed_can_still_be_looked_at() -> None:
    provider = FakeProvider({"a": "x"})

    provider.close()

    assert provider.read("a").reveal() == "x"
    with pytest.raises(UnknownSecretError):
        provider.read("b")
