"""The rotators for AWS, opened as the configuration says."""

from typing import Any

import pytest
from tests.support import moto_server

from resile.errors import ConfigError
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.rotators.opening import open_rotator
from resile.testing.secrets import FakeProvider

if reason := moto_server.why_not():
    pytest.skip(reason, allow_module_level=True)

DATABASE = {
    "kind": "postgres",
    "dsn": "postgresql://127.0.0.1/app",
    "admin": "db/admin",
    "users": ["app_a", "app_b"],
}
TABLES: tuple[dict[str, Any], ...] = (
    {"kind": "aws-database", "database": DATABASE},
    {"kind": "aws-iam", "user": "uploader"},
    {"kind": "aws-kms", "key": "alias/data"},
)


@pytest.mark.parametrize("table", TABLES, ids=[table["kind"] for table in TABLES])
def test_it_is_opened_by_its_kind_and_asks_nobody(table: dict[str, Any]) -> None:
    rotator = open_rotator(table, provider=AwsProvider(moto_server.aws("http://127.0.0.1:1")))

    assert rotator.kind == table["kind"]
    assert rotator.has_overlap
    assert rotator.target


@pytest.mark.parametrize("table", TABLES[1:], ids=[table["kind"] for table in TABLES[1:]])
def test_what_is_rotated_in_aws_may_be_kept_elsewhere(table: dict[str, Any]) -> None:
    assert open_rotator(table, provider=FakeProvider()).kind == table["kind"]


def test_the_four_steps_of_aws_are_only_for_secrets_in_aws() -> None:
    with pytest.raises(ConfigError, match="needs the provider 'aws'"):
        open_rotator(TABLES[0], provider=FakeProvider())
