"""Let a package give names whose modules are loaded when a name is first asked for."""

import sys
from collections.abc import Collection, Mapping
from importlib import import_module


def load(package: str, name: str, homes: Mapping[str, Collection[str]]) -> object:
    """Load the module that has an exported name, and give what the name stands for.

    For a package's `__getattr__`; the package keeps what it got, so that it is asked once.

    Args:
        package: The package's `__name__`.
        name: What is asked for.
        homes: The names that each module of the package has, by the module's short name.

    Raises:
        AttributeError: If no module has it.
    """
    for home, names in homes.items():
        if name in names:
            found: object = getattr(import_module(f"{package}.{home}"), name)
            setattr(sys.modules[package], name, found)
            return found
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
