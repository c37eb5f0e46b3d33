"""Resilience for Python services and the machines they run on.

Detect, contain, recover, verify, record. Importing this package loads nothing but the error tree;
everything else is loaded when it is first used.
"""

from resile.errors import ConfigError, OperationError, RejectedError, ResileError

__version__ = "0.1.0.dev0"

__all__ = ["ConfigError", "OperationError", "RejectedError", "ResileError", "__version__"]
