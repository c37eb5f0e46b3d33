"""What every table of `resile.toml` shares: strictness, and the small types of its values."""

import ipaddress
import re
import shlex
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
)

from resile.core.config.faults import fault, quoted
from resile.core.passwords import without_password

NAME_LENGTH_MAX = 63
"""Names become file names, cgroup names and metric labels; 63 is what the guard takes, and well
inside all their limits."""
DAEMON_NAME = "guard"
"""The daemon's own output goes to the log of this name, so no service can have it."""
_NAME = re.compile(rf"[a-z0-9_][a-z0-9_-]{{0,{NAME_LENGTH_MAX - 1}}}")


class Section(BaseModel):
    """A table: frozen once read, and no key in it that nobody knows."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


def setting(default: Any, *, description: str, **limits: Any) -> Any:
    """Declare a key that may be left out.

    Args:
        default: As the user would write it ("10s", {}); it is checked like what the user writes.
            A function is called with the keys before this one.
        description: Meaning, unit, range, and the reason of the default.
        limits: `ge`, `le`, `min_length`, as pydantic knows them.
    """
    if callable(default):
        return Field(default_factory=default, description=description, **limits)
    return Field(default, description=description, **limits)


def _name(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    raise fault(
        f"{quoted(value)} is not a name",
        hint=f"use a to z, 0 to 9, - and _, at most {NAME_LENGTH_MAX} characters, - not first",
    )


def _service_name(value: str) -> str:
    if value != DAEMON_NAME:
        return value
    raise fault(
        f"{quoted(value)} is the daemon's own name",
        hint=f"give the service another name; logs/{DAEMON_NAME}.log holds the daemon's output",
    )


def _command(value: Any) -> Any:
    if isinstance(value, str):
        words = shlex.split(value) if value.count('"') % 2 == 0 == value.count("'") % 2 else []
        as_list = ", ".join(f'"{word}"' for word in words or ["PROGRAM", "ARGUMENT"])
        raise fault("a command is a list of words", hint=f"write [{as_list}]")
    if isinstance(value, list) and (not value or not value[0]):
        raise fault("the command is empty", hint='write ["PROGRAM", "ARGUMENT", ...]')
    return value


def _environment(value: Any) -> Any:
    """Take numbers for what they obviously mean; everything in an environment is text."""
    if not isinstance(value, dict):
        return value
    return {
        key: str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item
        for key, item in value.items()
    }


def _in_folder(value: Any, info: ValidationInfo) -> Path:
    """Take a path relative to the folder of the configuration file."""
    if not isinstance(value, str | Path) or not str(value):
        raise fault(f"{quoted(value)} is not a path", hint='write a text such as "data/app.db"')
    if "\0" in str(value):
        raise fault("a path cannot hold a NUL character")
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / Path(value).expanduser()


def _store_place(value: Any, info: ValidationInfo) -> str:
    """Take a folder relative to the configuration file; leave a URL, and nothing, as they are."""
    if isinstance(value, str) and (not value or "://" in value or value == "memory:"):
        return value
    return str(_in_folder(value, info))


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if is_good and not any(char.isspace() for char in value):
        return value
    raise fault(
        f"{quoted(without_password(value))} is not a URL that can be checked",
        hint='write for example "http://127.0.0.1:8080/health"',
    )


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if host and port.isascii() and port.isdigit() and 0 < int(port) < 65536 and _is_host(host):
        return value
    raise fault(
        f"{quoted(value)} is not a host and a port",
        hint='write for example "127.0.0.1:5432" or "[::1]:5432"',
    )


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            return False
        return host.endswith("]")
    return ":" not in host and not any(char.isspace() or char == "/" for char in host)


def _dsn(value: str) -> str:
    if value.startswith(("postgresql://", "postgres://")) or "=" in value:
        return value
    raise fault(
        "it is not a PostgreSQL connection string",
        hint='write for example "postgresql://user@127.0.0.1:5432/app"',
    )


Name = Annotated[str, AfterValidator(_name)]
"""The name of a service, check or group."""

ServiceName = Annotated[Name, AfterValidator(_service_name)]
"""The name of a service."""

Flag = StrictBool
"""true or false; a number or text is refused."""

Count = StrictInt
"""A whole number; true or text is refused."""

Command = Annotated[
    tuple[str, ...],
    BeforeValidator(_command),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
"""A program and its arguments. No shell reads it."""

Environment = Annotated[dict[str, str], BeforeValidator(_environment)]
"""Variables for a process; numbers become text."""

FolderPath = Annotated[Path, PlainValidator(_in_folder), WithJsonSchema({"type": "string"})]
"""A path; relative ones start at the folder of the configuration file."""

StorePlace = Annotated[str, PlainValidator(_store_place), WithJsonSchema({"type": "string"})]
"""A folder or a URL; relative folders start at the folder of the configuration file."""

Url = Annotated[str, AfterValidator(_url)]
"""An http or https URL."""

Address = Annotated[str, AfterValidator(_address)]
"""`HOST:PORT`."""

Dsn = Annotated[str, AfterValidator(_dsn)]
"""A PostgreSQL connection string, as a URL or in key=value form."""
