"""Secrets that are taken away, by a real keeper."""

import pytest
from tests.support.keeper_process import keeper as running

from resile.chaos.faults import secret as faults
from resile.errors import ConfigError, RejectedError

TOML = """
[service.api]
command = ["true"]
[secret."api/key"]
services = ["api"]
rotator = { kind = "random" }
[secret."plain"]
services = ["api"]
"""


@pytest.fixture
def keeper(stage, tmp_path):
    with running(tmp_path, TOML) as found:
        found.wait_born(1)
        with found.connect() as wire:
            wire.ask("put", name="plain", value="eA==")
        stage.host.system.add("api")
        yield found


def current(keeper):
    with keeper.connect() as wire:
        found = wire.ask("history", name="api/key")["versions"]
    return [one["number"] for one in found if one["stage"] == "current"]


def test_a_secret_is_destroyed_and_a_new_one_made(stage, keeper):
    (before,) = current(keeper)
    record = stage.inject("secret.revoke", "secret/api/key")

    stage.active(record)
    assert current(keeper) == []
    stage.end(record)
    (after,) = current(keeper)
    assert after != before


def test_a_secret_that_somebody_has_rotated_meanwhile_is_left_alone(stage, keeper):
    record = stage.inject("secret.revoke", "secret/api/key")
    stage.active(record)
    with keeper.connect() as wire:
        made = wire.ask("rotate", name="api/key")["rotation"]["number"]

    stage.end(record)
    assert current(keeper) == [made]


def test_destroying_and_undoing_twice_is_as_once(stage, keeper):
    record = stage.inject("secret.revoke", "secret/api/key")
    fault = stage.host.faults["secret.revoke"]

    fault.apply(record, stage.host)
    stage.end(record)
    (after,) = current(keeper)
    fault.undo(record, stage.host)
    assert current(keeper) == [after]


def test_a_secret_is_rotated_at_once(stage, keeper):
    before = current(keeper)
    record = stage.inject("secret.expire", "secret/api/key")

    stage.active(record)
    assert current(keeper) != before
    stage.end(record)


def test_a_service_gets_no_secrets_for_a_while(stage, keeper):
    record = stage.inject("secret.deny", "service/api")

    stage.active(record)
    assert [one["client"] for one in keeper.recorded("client.quarantined")] == ["service/api"]
    with pytest.raises(RejectedError, match="already"):
        stage.inject("secret.deny", "service/api")
    stage.end(record)


def test_what_nobody_can_make_anew_is_not_destroyed(stage, keeper):
    with pytest.raises(RejectedError, match="none can be brought back"):
        stage.inject("secret.revoke", "secret/plain")


@pytest.mark.parametrize("target", ["api/key", "secret/none", "secret/"])
def test_a_secret_that_is_none_is_wrong_input(stage, keeper, target):
    with pytest.raises(ConfigError, match="no secret"):
        stage.inject("secret.revoke", target)


def test_without_a_keeper_there_is_a_reason(stage):
    for fault in (faults.Revoked(), faults.Expired(), faults.Denied()):
        assert "keeps secrets" in fault.obstacle(stage.host)


def test_no_value_is_in_a_record(stage, keeper):
    record = stage.inject("secret.expire", "secret/api/key")

    assert set(record.facts) == {"name", "version"}
    stage.end(record)
