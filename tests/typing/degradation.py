"""Calls through the degradation manager keep their types; mypy --strict reads this, nothing runs it."""

from collections.abc import Callable, Coroutine
from typing import Any, assert_type

import resile

services = resile.Degradation(resile.Service("database", fallbacks=["cached"]))


def query(sql: str, *, limit: int = 5) -> list[str]:
    return [sql] * limit


async def aquery(sql: str) -> list[str]:
    return [sql]


assert_type(services.call("database", query, "select 1", limit=1), list[str])
assert_type(services.answer("database", query, "select 1"), resile.Answer[list[str]])
services.call("database", query, 5)  # type: ignore[arg-type]


@services.guard("database")
def guarded(sql: str) -> list[str]:
    return [sql]


@services.guard("database")
async def aguarded(sql: str) -> list[str]:
    return [sql]


plain: Callable[[str], list[str]] = guarded
coroutine: Callable[[str], Coroutine[Any, Any, list[str]]] = aguarded


async def main() -> None:
    assert_type(await services.acall("database", aquery, "select 1"), list[str])
    assert_type((await services.aanswer("database", aquery, "x")).is_fallback, bool)


assert_type(services.state("database"), resile.ServiceState)
assert_type(resile.Outbox("o").put({"a": 1}).is_new, bool)
