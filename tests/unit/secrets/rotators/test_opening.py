"""Opening a rotator by its table."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError
from resile.secrets.rotators.opening import KINDS, open_rotator
from resile.testing.rotations import FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

PROVIDER = FakeProvider()
POSTGRES = {
    "kind": "postgres",
    "dsn": "postgresql://u:secret@db:5432/app",
    "admin": "db/admin",
    "users": ["app_b", "app_a"],
}


class Theirs:
    """A rotator of another package."""

    @classmethod
    def open(cls, settings: Any, **_: Any) -> FakeRotator:
        assert settings == {"color": "red"}
        return FakeRotator(FakeTarget())


def points(*found: EntryPoint) -> Any:
    return lambda group: found if group == "resile.rotators" else ()


def test_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        open_rotator({"kind": "postgers"}, provider=PROVIDER)

    assert caught.value.hint == "did you mean 'postgres'?"


def test_rotator_of_no_package_is_refused() -> None:
    with pytest.raises(ConfigError, match="no package has a rotator 'theirs'"):
        open_rotator({"kind": "plugin", "name": "theirs"}, provider=PROVIDER)


@pytest.mark.parametrize("value", ["no_such_module:X", f"{__name__}:Nothing"])
def test_rotator_that_cannot_be_loaded_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    found = EntryPoint("theirs", value, "resile.rotators")
    monkeypatch.setattr("importlib.metadata.entry_points", points(found))

    with pytest.raises(ConfigError, match="cannot be loaded"):
        open_rotator({"kind": "plugin", "name": "theirs"}, provider=PROVIDER)


def test_rotator_of_another_package_gets_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoint("theirs", f"{__name__}:Theirs", "resile.rotators")
    monkeypatch.setattr("importlib.metadata.entry_points", points(found))
    table = {"kind": "plugin", "name": "theirs", "options": {"color": "red"}}

    assert open_rotator(table, provider=PROVIDER).kind == "fake"


@pytest.mark.parametrize("users", [["a", "a"], ["a", "owner"]])
def test_postgres_needs_three_roles(users: list[str]) -> None:
    with pytest.raises(ConfigError, match="two users and an owner"):
        open_rotator(POSTGRES | {"users": users, "owner": "owner"}, provider=PROVIDER)


def test_postgres_says_what_it_changes_without_a_password() -> None:
    rotator = open_rotator(POSTGRES, provider=PROVIDER)

    assert getattr(rotator, "target", "") == "postgres/db:5432/app_a+app_b"


@pytest.mark.parametrize(
    ("table", "has_overlap"),
    [
        (POSTGRES, True),
        ({"kind": "random"}, False),
        ({"kind": "tls", "names": ["a"]}, True),
        ({"kind": "command", "command": ["true"]}, False),
        ({"kind": "command", "command": ["true"], "overlap": True}, True),
    ],
)
def test_table_of_each_kind_opens_it(table: dict[str, Any], *, has_overlap: bool) -> None:
    rotator = open_rotator(table, provider=PROVIDER, clock=SYSTEM_CLOCK)

    assert (rotator.kind, rotator.has_overlap) == (table["kind"], has_overlap)
    assert rotator.kind in KINDS
