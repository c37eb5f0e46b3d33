"""Secrets that live by a lease: renewed, replaced before they end, and let go."""

import pytest
from tests.support.secret_scenes import NAME, Scene

from resile.errors import ProviderDownError, SecretDeniedError


def leased(*, for_s: float = 60.0, max_s: float = 600.0) -> Scene:
    scene = Scene()
    scene.provider.lease(NAME, for_s=for_s, max_s=max_s)
    return scene


def test_lease_is_renewed_and_the_credential_stays() -> None:
    scene = leased()
    first = scene.manager.secret(NAME)

    scene.pass_time(400)

    assert scene.manager.secret(NAME) is first
    assert scene.reads() == 1
    assert 9 <= scene.calls("renew") <= 12
    assert scene.provider.open_leases(NAME) == (first.lease_id,)


def test_credential_is_never_served_beyond_its_lease() -> None:
    scene = leased(max_s=150)

    for _ in range(2000):
        scene.pass_time(0.5)
        if scene.clock.monotonic() % 7 < 1:
            lease_id = scene.manager.secret(NAME).lease_id
            assert lease_id in scene.provider.open_leases(NAME)


def test_new_lease_stands_before_the_old_one_is_let_go() -> None:
    scene = leased(max_s=150)
    first = scene.manager.secret(NAME).lease_id
    while scene.manager.secret(NAME).lease_id == first:
        assert first in scene.provider.open_leases(NAME)
        scene.pass_time(0.25)
    second = scene.manager.secret(NAME).lease_id

    scene.pass_time(2.0, step_s=0.1)

    assert scene.provider.open_leases(NAME) == (second,)
    assert ("revoke", first) in scene.provider.calls


def test_old_lease_is_not_let_go_while_somebody_holds_its_credential() -> None:
    scene = leased(max_s=150)
    held = scene.manager.secret(NAME)

    while scene.manager.secret(NAME) is held:
        scene.pass_time(0.25)
    scene.pass_time(10)
    assert held.lease_id in scene.provider.open_leases(NAME)

    lease_id = held.lease_id
    del held
    scene.pass_time(2.0, step_s=0.1)
    assert lease_id not in scene.provider.open_leases(NAME)


def test_renewal_that_is_denied_is_no_storm_and_no_outage() -> None:
    scene = leased()
    scene.manager.secret(NAME)
    renew = scene.provider.renew

    def deny(lease_id: str, *, for_s: float) -> float:
        scene.provider.calls.append(("renew", lease_id))
        raise SecretDeniedError("renew-self is denied")

    scene.provider.renew = deny  # type: ignore[method-assign]
    scene.pass_time(300)

    assert scene.manager.secret(NAME).lease_id in scene.provider.open_leases(NAME)
    assert scene.calls("renew") + scene.reads() <= 20
    scene.provider.renew = renew  # type: ignore[method-assign]


def test_lease_lives_while_the_provider_is_away_and_not_longer() -> None:
    scene = leased()
    scene.manager.secret(NAME)
    scene.provider.is_away = True

    scene.pass_time(59)
    assert scene.value() == "first"
    scene.pass_time(1)

    with pytest.raises(ProviderDownError):
        scene.value()


def test_leases_are_let_go_at_the_end() -> None:
    scene = leased()
    scene.manager.secret(NAME)

    scene.manager.close()

    assert scene.provider.open_leases(NAME) == ()


def test_lease_goes_with_a_value_that_nobody_needs_any_more() -> None:
    scene = leased()
    scene.manager.secret(NAME)
    scene.manager._memory.drop(NAME)

    scene.pass_time(1.0, step_s=0.1)

    assert scene.provider.open_leases(NAME) == ()
