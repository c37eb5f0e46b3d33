"""Settings of secrets: as in the configuration, with the same names, and nothing that nobody reads."""

import pytest

from resile.core.config.secrets import AwsSection, SecretsSection, VaultSection
from resile.errors import ConfigError
from resile.secrets import Terms
from resile.secrets.providers import KINDS
from resile.secrets.settings import OWN, TIMES, from_variable, table_of, terms_of


@pytest.mark.parametrize("provider", sorted(OWN))
def test_setting_that_nobody_reads_is_refused(provider: str) -> None:
    with pytest.raises(ConfigError, match="no setting 'adress'") as caught:
        table_of(provider, {"adress": "x"})

    assert caught.value.hint


def test_nearest_setting_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        table_of("vault", {"adress": "https://vault.example"})

    assert "'address'" in caught.value.hint


@pytest.mark.parametrize("value", ["5 minutes", "-1s", "", None, [], float("nan"), "2d"])
def test_time_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        terms_of({"ttl": value})


@pytest.mark.parametrize("text", ["env:", "file", "file:", "vault:https://x", ":", "env;X"])
def test_variable_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="RESILE_SECRETS cannot be read"):
        from_variable(text)


def test_variable_that_holds_a_secret_by_mistake_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        from_variable("hunter2hunter2")

    assert "hunter2" not in caught.value.report()


def test_settings_are_those_of_the_configuration() -> None:
    plain = set(SecretsSection.model_fields) - {
        *TIMES,
        "provider",
        "vault",
        "aws",
        "options",
        "guard",
    }

    assert set(OWN) == set(KINDS)
    assert set(OWN["vault"]) == set(VaultSection.model_fields)
    assert set(OWN["aws"]) == set(AwsSection.model_fields)
    assert {*OWN["local"], *OWN["env"], *OWN["file"]} == plain


def test_settings_take_the_shape_of_the_table() -> None:
    assert table_of("vault", {"address": "a", "ttl": 5}) == {
        "provider": "vault",
        "vault": {"address": "a"},
    }
    assert table_of("env", {"prefix": "P_"}) == {"provider": "env", "prefix": "P_"}
    assert table_of("other", {"any": "x"}) == {"provider": "other", "options": {"any": "x"}}


def test_times_are_text_or_seconds() -> None:
    assert terms_of({}) == Terms()
    assert terms_of({"ttl": "5s", "max_stale": 7}) == Terms(ttl_s=5, max_stale_s=7)


def test_variable_names_a_provider_and_where_it_looks() -> None:
    assert from_variable("env") == ("env", {})
    assert from_variable("env:APP_") == ("env", {"prefix": "APP_"})
    assert from_variable("file:/run/secrets") == ("file", {"folder": "/run/secrets"})
