"""Two roles of a real PostgreSQL in turn: what the server gets to see, and who is cut off."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.postgres import Server
from tests.support.rotators import ADMIN, NAME, Roles, ask, postgres_roles

from resile.clients import postgres as client
from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import OperationError
from resile.secrets import Turn
from resile.testing.secrets import FakeProvider

pytestmark = [pytest.mark.needs_postgres, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def roles(postgres: Server) -> Roles:
    made = postgres_roles(postgres, FakeProvider({ADMIN: postgres.dsn}, clock=SYSTEM_CLOCK))
    made.provider.write(NAME, made.begin(), token="by hand")
    return made


def candidate(roles: Roles) -> Turn:
    turn = Turn(
        rotation_id="rotation_1",
        name=NAME,
        reason=RotationReason.MANUAL,
        before=roles.provider.read(NAME),
    )
    value = roles.rotator.prepare(turn)
    roles.provider.write(NAME, value, stage=SecretStage.PENDING, token="rotation_1")
    return replace(turn, after=roles.provider.read(NAME, version="pending"))


def log_in(roles: Roles, turn: Turn) -> client.Session:
    assert turn.after is not None
    dsn = client.with_parts(
        roles.server.dsn, user=turn.after.field("username"), password=turn.after.field("password")
    )
    return client.Session(dsn, deadline_s=SYSTEM_CLOCK.monotonic() + 20)


def test_server_that_is_away_is_a_transient_error(roles: Roles) -> None:
    turn = candidate(roles)
    roles.provider.write(ADMIN, b"postgresql://postgres@/postgres?host=/nowhere", token="away")

    with pytest.raises(OperationError) as caught:
        roles.rotator.set(turn)

    assert caught.value.is_transient


def test_role_that_becomes_somebody_else_is_not_verified(roles: Roles) -> None:
    turn = candidate(roles)
    roles.rotator.set(turn)
    ask(roles.server.dsn, f"ALTER ROLE {roles.users[1]} RESET role")

    with pytest.raises(OperationError, match=f"is {roles.users[1]}, not {roles.owner}"):
        roles.rotator.verify(turn)


def test_probe_that_is_refused_is_not_verified(roles: Roles) -> None:
    roles.settings["probe"] = "SELECT rolpassword FROM pg_authid"
    turn = candidate(roles)
    roles.rotator.set(turn)

    with pytest.raises(OperationError, match="permission denied"):
        roles.rotator.verify(turn)


def test_candidate_of_another_role_is_refused(roles: Roles) -> None:
    turn = candidate(roles)
    roles.provider.write(ADMIN, b'{"username": "postgres", "password": "x"}', token="other")
    other = replace(turn, after=roles.provider.read(ADMIN))

    with pytest.raises(OperationError, match="none of"):
        roles.rotator.abort(other)


def test_role_that_the_current_version_uses_is_never_locked_out(roles: Roles) -> None:
    turn = candidate(roles)
    roles.rotator.set(turn)

    with pytest.raises(OperationError, match="again"):
        roles.rotator.retire(turn)

    assert turn.before is not None
    assert roles.opens(turn.before)


def test_old_role_is_locked_out_although_the_new_version_was_revoked(roles: Roles) -> None:
    turn = candidate(roles)
    roles.rotator.set(turn)
    for version in roles.provider.history(turn.name):
        roles.provider.destroy(turn.name, version.number)

    roles.rotator.retire(replace(turn, after=None))

    assert turn.before is not None
    assert not roles.opens(turn.before)


def test_role_that_is_none_of_the_two_is_left_alone(roles: Roles) -> None:
    roles.provider.write(NAME, b'{"username": "postgres", "password": "x"}', token="legacy")
    turn = candidate(roles)
    roles.rotator.set(turn)
    roles.provider.promote(NAME, token="rotation_1", expect=None)

    roles.rotator.retire(turn)

    assert ask(roles.server.dsn, "SELECT current_user") == [("postgres",)]


def test_sessions_end_with_their_credential(roles: Roles) -> None:
    turn = candidate(roles)
    roles.rotator.set(turn)
    session = log_in(roles, turn)

    roles.rotator.abort(turn)

    with pytest.raises(OperationError):
        session.ask("SELECT 1", deadline_s=SYSTEM_CLOCK.monotonic() + 20)
    session.close()
    with pytest.raises(OperationError):
        log_in(roles, turn)
    (row,) = ask(
        roles.server.dsn,
        f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{roles.users[1]}'",
    )
    assert row == ("f",)


def test_owner_keeps_what_either_role_makes(roles: Roles) -> None:
    turn = candidate(roles)
    roles.rotator.set(turn)
    table = f"made_by_{roles.users[1]}"
    session = log_in(roles, turn)
    try:
        deadline_s = SYSTEM_CLOCK.monotonic() + 20
        ask(roles.server.dsn, f"GRANT CREATE ON SCHEMA public TO {roles.owner}")
        session.ask(f"CREATE TABLE {table} (x int)", deadline_s=deadline_s)
    finally:
        session.close()

    (owner,) = ask(
        roles.server.dsn, f"SELECT tableowner FROM pg_tables WHERE tablename = '{table}'"
    )
    assert owner == (roles.owner,)


def test_administrator_need_not_be_a_superuser(roles: Roles) -> None:
    admin = f"admin_of_{roles.users[0]}"
    three = ", ".join((*roles.users, roles.owner))
    ask(
        roles.server.dsn,
        f"CREATE ROLE {admin} LOGIN CREATEROLE IN ROLE pg_signal_backend",
        f"CREATE ROLE {roles.users[1]}",
        f"GRANT {three} TO {admin} WITH ADMIN OPTION",
    )
    dsn = client.with_parts(roles.server.dsn, user=admin)
    roles.provider.write(ADMIN, dsn.encode(), token="admin")
    turn = candidate(roles)

    roles.rotator.set(turn)
    roles.rotator.verify(turn)
    session = log_in(roles, turn)
    roles.rotator.abort(turn)

    with pytest.raises(OperationError):
        session.ask("SELECT 1", deadline_s=SYSTEM_CLOCK.monotonic() + 20)
    session.close()


def test_administrator_may_be_a_credential_that_is_rotated_itself(roles: Roles) -> None:
    roles.provider.write(ADMIN, b'{"username": "postgres", "password": "x"}', token="rotated")
    turn = candidate(roles)

    roles.rotator.set(turn)
    roles.rotator.verify(turn)


def test_roles_without_an_owner_stay_themselves(roles: Roles) -> None:
    roles.settings["owner"] = ""
    ask(roles.server.dsn, f"ALTER ROLE {roles.users[0]} RESET role")
    turn = candidate(roles)

    roles.rotator.set(turn)
    roles.rotator.verify(turn)


def test_no_password_reaches_the_server_or_its_log(roles: Roles) -> None:
    log = Path(client.parts_of(roles.server.dsn)["host"]) / "log"
    ask(roles.server.dsn, "ALTER ROLE postgres SET log_statement TO 'all'")
    try:
        turn = candidate(roles)
        roles.rotator.set(turn)
        roles.rotator.verify(turn)
        roles.rotator.abort(turn)
    finally:
        ask(roles.server.dsn, "ALTER ROLE postgres RESET log_statement")

    written = log.read_text()
    assert turn.after is not None
    assert f'ALTER ROLE "{roles.users[1]}" LOGIN PASSWORD \'SCRAM-SHA-256$' in written
    assert turn.after.field("password") not in written


def test_names_that_need_quotes_are_quoted(postgres: Server) -> None:
    roles = postgres_roles(postgres, FakeProvider({ADMIN: postgres.dsn}, clock=SYSTEM_CLOCK))
    strange = tuple(f'{user} "; drop' for user in roles.users)
    roles.settings.update(users=strange, owner=f"{roles.owner} 'x")
    turn = candidate_of_new(roles)

    roles.rotator.set(turn)
    roles.rotator.verify(turn)
    roles.rotator.abort(turn)


def candidate_of_new(roles: Roles) -> Turn:
    turn = Turn(rotation_id="r", name=NAME, reason=RotationReason.MANUAL, before=None)
    roles.provider.write(NAME, roles.rotator.prepare(turn), token="new")
    return replace(turn, after=roles.provider.read(NAME))
