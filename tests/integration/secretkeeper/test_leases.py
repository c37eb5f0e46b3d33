"""Leases through the secretkeeper's socket: more time, letting go, and the end of a client that is cut off."""

import time
from collections.abc import Iterator

import pytest
from tests.integration.secretkeeper import test_server as server
from tests.integration.secretkeeper.test_server import NAME, Scene
from tests.support.keeper_wire import DEADLINE_S

from resile.errors import SecretDeniedError, SecretRevokedError
from resile.secrets.providers.daemon import DaemonProvider

scene = server.scene


@pytest.fixture
def process(scene: Scene) -> Iterator[DaemonProvider]:
    """A process as users have it; each reading of the secret gives it a lease."""
    scene.provider.lease(NAME, for_s=60, max_s=3600)
    made = DaemonProvider.open(scene.state, program="test")
    yield made
    made.close()


def test_lease_gets_more_time_and_is_let_go_through_the_keeper(
    scene: Scene, process: DaemonProvider
) -> None:
    lease_id = process.read(NAME).lease_id

    assert process.renew(lease_id, for_s=120) == pytest.approx(120, abs=1)
    process.revoke(lease_id)
    process.revoke(lease_id)

    assert scene.provider.open_leases(NAME) == ()
    with pytest.raises(SecretRevokedError, match="no such lease"):
        process.renew(lease_id, for_s=120)


def test_lease_of_somebody_else_gets_no_time_and_lives_on(
    scene: Scene, process: DaemonProvider
) -> None:
    scene.provider.lease("other", for_s=60, max_s=3600)
    theirs = scene.provider.read("other").lease_id

    with pytest.raises(SecretRevokedError, match="no such lease"):
        process.renew(theirs, for_s=120)
    process.revoke(theirs)

    assert scene.provider.open_leases("other") == (theirs,)


def test_lease_of_a_client_that_is_cut_off_ends_and_needs_no_rotation(
    scene: Scene, process: DaemonProvider
) -> None:
    lease_id = process.read(NAME).lease_id
    process.read("other")
    others = scene.provider.read(NAME).lease_id
    (client,) = {one for one, _ in scene.outcomes()}

    scene.warden.cut_off(client, why="a test", who="operator")

    deadline_s = time.monotonic() + DEADLINE_S
    while lease_id in scene.provider.open_leases(NAME):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert scene.provider.open_leases(NAME) == (others,)
    assert [name for name, _ in scene.rotated] == ["other"]
    assert scene.warden.quarantine.owed() == {"other": "a test"}
    with pytest.raises(SecretDeniedError, match="gets no secrets"):
        process.renew(lease_id, for_s=60)
