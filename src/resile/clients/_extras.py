"""Import an optional package, or say how to install it."""

import importlib
from types import ModuleType

from resile.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Its full name, such as `psycopg.pq`.
        extra: The extra of resile that brings it.

    Raises:
        MissingExtraError: If it is not installed. The hint is the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{package} is not installed", hint=f"pip install 'resile[{extra}]'"
        ) from exc
