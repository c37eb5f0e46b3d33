"""Secrets in variables."""

import os
from pathlib import Path

import pytest

from resile.errors import SecretError, UnknownSecretError
from resile.secrets import VALUE_BYTES_MAX, Provider, WritableProvider
from resile.secrets.providers.env import KEY_NAME, EnvProvider


def test_a_name_becomes_a_variable_in_upper_case() -> None:
    provider: Provider = EnvProvider({"APP_DB_PASSWORD": "x", "DB_PASSWORD": "y"}, prefix="APP_")

    for name in ("db/password", "DB_PASSWORD", "db-password", "db.password"):
        assert provider.read(name).reveal() == "x"
    assert EnvProvider({"DB_PASSWORD": "y"}).read("db/password").reveal() == "y"


@pytest.mark.parametrize("environ", [{}, {"APP_KEY": ""}, {"KEY": "x"}])
def test_a_variable_that_is_not_set_or_empty_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(UnknownSecretError) as caught:
        EnvProvider(environ, prefix="APP_").read("key")

    assert "APP_KEY" in caught.value.hint


def test_a_variable_may_hold_what_is_no_text() -> None:
    environ = {"KEY": os.fsdecode(b"\xff\x00x".replace(b"\x00", b"\x01"))}

    assert EnvProvider(environ).read("key").reveal_bytes() == b"\xff\x01x"


def test_a_variable_that_is_too_large_is_refused() -> None:
    with pytest.raises(SecretError, match="65537 bytes"):
        EnvProvider({"KEY": "x" * (VALUE_BYTES_MAX + 1)}).read("key")


def test_names_are_those_with_the_prefix() -> None:
    environ = {"APP_DB": "x", "APP_KEY": "y", "APP_": "z", "APP_NO": "", "HOME": "/"}

    assert EnvProvider(environ, prefix="APP_").names() == ("db", "key")
    assert EnvProvider(environ).names() == ()


def test_a_changed_variable_is_another_version_whose_number_tells_nothing() -> None:
    environ = {"KEY": "one"}
    provider, other = EnvProvider(environ), EnvProvider(environ)
    first = provider.read("key").version
    assert provider.history("key")[0].number == first != other.read("key").version

    environ["KEY"] = "two"

    assert provider.read("key").version != first
    with pytest.raises(UnknownSecretError):
        provider.read("key", version=first)
    environ["KEY"] = "one"
    assert provider.read("key").version == first


def test_each_life_of_a_system_numbers_alike_with_a_key_that_nobody_else_reads(
    tmp_path: Path,
) -> None:
    numbers = set()
    for _ in range(2):
        provider = EnvProvider.open({"prefix": "A_"}, state=tmp_path, environ={"A_KEY": "one"})
        numbers.add(provider.read("key").version)

    assert len(numbers) == 1
    assert (tmp_path / "secrets" / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_key_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "secrets").touch()

    with pytest.raises(SecretError, match="neither read nor made"):
        EnvProvider.open({}, state=tmp_path, environ={})


def test_it_is_for_reading_only() -> None:
    provider = EnvProvider.open({"prefix": "A_"}, state=None, environ={"A_B": "x"})

    assert not isinstance(provider, WritableProvider)
    assert not provider.abilities.can_write
    assert provider.read("b").reveal() == "x"
