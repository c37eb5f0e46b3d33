"""What only the whole file can tell of secrets."""

from pathlib import Path

import pytest

from resile.core.config import load_config
from resile.errors import ConfigError

SERVICES = '[service.web]\ncommand = ["true"]\n[service.job]\ncommand = ["true"]\n'


def problems(folder: Path, toml: str) -> str:
    path = folder / "resile.toml"
    path.write_text(SERVICES + toml)
    try:
        load_config(path, environ={})
    except ConfigError as exc:
        return "\n".join(exc.problems)
    return ""


def test_service_that_is_not_there_is_found(tmp_path: Path) -> None:
    found = problems(tmp_path, '[secret.db]\nservices = ["web", "wob"]\n')

    assert "secret.db.services[1]" in found
    assert 'no service is called "wob"' in found
    assert 'did you mean "web"?' in found


@pytest.mark.parametrize(
    ("other", "is_wrong"),
    [
        ('[secret.db_key]\nservices = ["web"]\ndeliver = "env"\n', True),
        ('[secret.x]\nservices = ["web"]\ndeliver = "env"\nvariable = "DB_KEY"\n', True),
        ('[secret.db_key]\nservices = ["job"]\ndeliver = "env"\n', False),
        ('[secret.db_key]\nservices = ["web"]\n', False),
    ],
)
def test_two_secrets_in_one_variable_are_found(tmp_path: Path, other: str, is_wrong: bool) -> None:
    one = '[secret."db/key"]\nservices = ["web"]\ndeliver = "env"\n'

    assert ("DB_KEY already" in problems(tmp_path, one + other)) is is_wrong


@pytest.mark.parametrize(("service", "is_wrong"), [("web", True), ("job", False)])
def test_file_below_a_file_is_found(tmp_path: Path, service: str, is_wrong: bool) -> None:
    found = problems(
        tmp_path,
        '[secret.db]\nservices = ["web"]\ndeliver = "file"\n'
        f'[secret."db/key"]\nservices = ["{service}"]\ndeliver = "file"\n',
    )

    assert ("cannot be a folder as well" in found) is is_wrong


@pytest.mark.parametrize(
    ("provider", "deliver", "is_wrong"),
    [
        ("vault", "env", True),
        ("vault", "file", True),
        ("vault", "api", False),
        ("local", "env", False),
    ],
)
def test_credential_with_a_lease_is_handed_to_nobody(
    tmp_path: Path, provider: str, deliver: str, is_wrong: bool
) -> None:
    found = problems(
        tmp_path,
        f'[secrets]\nprovider = "{provider}"\n[secret."dynamic/database/creds/app"]\n'
        f'services = ["web"]\ndeliver = "{deliver}"\n',
    )

    assert ("given by the api alone" in found) is is_wrong
