"""What only the whole file can tell of `[secret.NAME]`: services that are not there, two secrets in one place."""

from collections.abc import Iterator, Mapping
from typing import Any

from resile.core.config.faults import Fault, did_you_mean
from resile.core.secret_names import DYNAMIC_PREFIX, variable_of


def secret_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Find every fault between the tables of secrets and services. Data of the wrong type is passed over."""
    secrets, services = _tables(data, "secret"), _tables(data, "service")
    where = data.get("secrets")
    is_vault = isinstance(where, dict) and where.get("provider") == "vault"
    for name, table in secrets.items():
        for index, service in enumerate(_services(table)):
            if service not in services:
                yield Fault(
                    path=("secret", name, "services", index),
                    message=f'no service is called "{service}"',
                    hint=did_you_mean(service, services),
                )
        if is_vault:
            yield from _lease_handed(name, table)
    for service in services:
        mine = {name: table for name, table in secrets.items() if service in _services(table)}
        yield from _same_variable(service, mine)
        yield from _file_in_a_file(service, mine)


def _lease_handed(name: str, table: Mapping[str, Any]) -> Iterator[Fault]:
    """Find what would end while a service still has it: only who asks can have its lease renewed."""
    if name.startswith(DYNAMIC_PREFIX) and table.get("deliver", "api") != "api":
        yield Fault(
            path=("secret", name, "deliver"),
            message="what is made for each reader has a lease, and is given by the api alone",
            hint="leave deliver out, and ask for it: resile.secret",
        )


def _same_variable(service: str, secrets: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for name, table in secrets.items():
        if table.get("deliver") != "env":
            continue
        variable = str(table.get("variable") or variable_of(name))
        if variable in taken:
            yield Fault(
                path=("secret", name, "variable"),
                message=f'"{service}" gets "{taken[variable]}" as {variable} already',
                hint="give one of them another variable",
            )
        taken.setdefault(variable, name)


def _file_in_a_file(service: str, secrets: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    files = [name for name, table in secrets.items() if table.get("deliver") == "file"]
    for name in files:
        for other in files:
            if name.startswith(f"{other}/"):
                yield Fault(
                    path=("secret", name, "deliver"),
                    message=f'"{other}" is a file of "{service}", and cannot be a folder as well',
                    hint="deliver one of them by api or env",
                )


def _tables(data: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    tables = data.get(kind)
    if not isinstance(tables, dict):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _services(table: Mapping[str, Any]) -> list[str]:
    found = table.get("services")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
