"""Settings from the environment: `RESILE_RESILE__HTTP__PORT=9000` is `[resile] http.port`.

The name is `RESILE_`, then the keys from the outside in with two underscores between them, in
upper case. `-` in the name of a service or check is written `_`. A service or check must stand in
the file; `RESILE_SERVICE__API__ENV__FOO` sets the variable FOO as it is spelt.

The value is read as TOML (`9000`, `true`, `["a", "b"]`, `{ port = 9000 }`), and what is no TOML
is text (`512MiB`). Variables for `env` are always text.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from resile.core.config.faults import Fault, Path, did_you_mean
from resile.core.config.model import Config
from resile.core.config.shape import child_of, is_mapping, is_table, keys_of

PREFIX = "RESILE_"
SEPARATOR = "__"

INTERNAL = frozenset(
    {
        "RESILE_CONFIG_FILE",
        "RESILE_CONTAINED",
        "RESILE_DEBUG",
        "RESILE_GUARD_FD",
        "RESILE_RUNS_DIR",
        "RESILE_STATE_DIR",
        "RESILE_UNIT",
    }
)
"""Variables that are no settings: RESILE_DEBUG=1 makes the command print tracebacks, through
RESILE_GUARD_FD the guard hands its socket to the brain, and where there are no cgroups it marks
with RESILE_UNIT whatever it starts, the brain among it. RESILE_STATE_DIR tells services where the
journal is, RESILE_CONFIG_FILE which configuration is theirs, RESILE_RUNS_DIR where contained runs are
kept, and RESILE_CONTAINED that one is going on."""


def apply_overrides(
    data: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[Path, str], tuple[Fault, ...]]:
    """Write the environment's settings into the data, in the order of their names.

    Returns:
        The variable behind each path that was set, and a fault for each variable that names
        no setting (its path is empty and its message begins with the variable).
    """
    sources: dict[Path, str] = {}
    faults: list[Fault] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in INTERNAL:
            continue
        try:
            path = _path_of(variable, data)
        except LookupError as exc:
            faults.append(Fault(path=(), message=f"{variable}: {exc.args[0]}", hint=exc.args[1]))
            continue
        _put(data, path, _value(environ[variable], path))
        sources[path] = variable
    return sources, tuple(faults)


def _path_of(variable: str, data: dict[str, Any]) -> Path:
    """Find the key that a variable names.

    Raises:
        LookupError: With a message and a hint, if it names none.
    """
    parts = variable.removeprefix(PREFIX).split(SEPARATOR)
    kind: Any = Config
    at: Any = data
    path: Path = ()
    for index, part in enumerate(parts):
        if is_mapping(kind) and child_of(kind, part) is str:
            return (*path, SEPARATOR.join(parts[index:]))
        known = keys_of(kind) if is_table(kind) else tuple(at) if isinstance(at, dict) else ()
        key = _match(part, known, at_top=index == 0)
        path = (*path, key)
        kind = child_of(kind, key)
        at = at.get(key) if isinstance(at, dict) else None
    return path


def _match(part: str, known: tuple[str, ...], *, at_top: bool) -> str:
    matches = [key for key in known if _folded(key) == _folded(part)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise LookupError(
            f"may mean {' or '.join(matches)}", "names that differ in - and _ only cannot be set so"
        )
    hint = did_you_mean(part, known, otherwise="nothing can be set below this key")
    if at_top:
        hint = f"write for example RESILE_RESILE{SEPARATOR}HTTP{SEPARATOR}PORT; sections are " + (
            ", ".join(known).upper()
        )
    raise LookupError(f'no setting is called "{part.lower()}" there', hint)


def _folded(key: str) -> str:
    return key.lower().replace("-", "_")


def _value(text: str, path: Path) -> Any:
    if "env" in path[2:3]:
        return text
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document.get("value")
    return text if len(document) != 1 or isinstance(value, date | time) else value


def _put(data: dict[str, Any], path: Path, value: Any) -> None:
    at = data
    for key in path[:-1]:
        inner = at.get(str(key))
        if not isinstance(inner, dict):
            inner = {}
            at[str(key)] = inner
        at = inner
    at[str(path[-1])] = value
