"""Walk down the models along a key's path: what may stand there?"""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from resile.core.config.faults import Path
from resile.core.config.model import Config


def kind_at(path: Path) -> Any:
    """Give the type of the value at a path; None if nothing may stand there."""
    kind: Any = Config
    for key in path:
        kind = child_of(kind, str(key))
    return kind


def child_of(kind: Any, key: str) -> Any:
    """Give the type under a key: of a table's field, a mapping's values or a list's items."""
    if is_table(kind):
        field = kind.model_fields.get(key)
        return None if field is None else _plain(field.annotation)
    if get_origin(kind) is tuple:
        return _plain(get_args(kind)[0])
    return _plain(get_args(kind)[1]) if is_mapping(kind) else None


def keys_of(kind: Any) -> tuple[str, ...]:
    """List the keys that a table knows; none for anything else."""
    return tuple(kind.model_fields) if is_table(kind) else ()


def is_table(kind: Any) -> bool:
    """Tell if the type is a table with known keys."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_mapping(kind: Any) -> bool:
    """Tell if the type is a table whose keys the user chooses."""
    return get_origin(kind) is dict


def _plain(kind: Any) -> Any:
    """Take off what does not change the shape: `| None` and Annotated."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arg for arg in get_args(kind) if arg is not type(None)]
        return _plain(inner[0])
    return kind
