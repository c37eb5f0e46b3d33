"""Secrets keep the types of what they are used for; mypy --strict reads this, nothing runs it."""

from typing import assert_type

import psycopg

import resile
from resile.secrets import SecretManager, aconnect_with, connect_with

assert_type(resile.secret("db/password"), resile.Secret)
assert_type(resile.secret("db/password", version="previous").reveal(), str)
resile.secret(5)  # type: ignore[arg-type]
resile.secret("db/password", "previous")  # type: ignore[call-arg]


def log_in(secret: resile.Secret) -> list[int]:
    return [len(secret.reveal())]


async def alog_in(secret: resile.Secret) -> list[int]:
    return log_in(secret)


assert_type(resile.attempt("db/password", log_in), list[int])
resile.attempt("db/password", len)  # type: ignore[arg-type]
resile.on_rotation("db/password", log_in)()
assert_type(connect_with("db/app", psycopg.connect, "dsn").closed, bool)


async def main() -> None:
    assert_type(await resile.asecret("db/password"), resile.Secret)
    assert_type(await resile.aattempt("db/password", alog_in), list[int])
    connection = await aconnect_with("db/app", psycopg.AsyncConnection.connect, "dsn")
    assert_type(connection.closed, bool)


with resile.use_secrets("vault", address="https://vault.example", ttl="5m") as manager:
    assert_type(manager, SecretManager)
    assert_type(manager.secret("db/password"), resile.Secret)
