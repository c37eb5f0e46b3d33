"""The configuration that stays in force while a guard lives.

A brain may be killed while somebody edits `resile.toml`. Services run; supervising them by what
was declared when they were started beats stopping half of them because of a half-done edit. So
every brain of one guard goes on with what the first one read; `resile up` reads the file anew.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from resile.core.config import Config, load_config
from resile.core.files import write_durable
from resile.core.process import identity_of
from resile.errors import OperationError

_FORMAT = 1


def load_or_keep(path: Path, *, state: Path, environ: Mapping[str, str]) -> Config:
    """Give what an earlier brain of this guard read; for the first brain, read the file.

    Raises:
        ConfigError: If the file is wrong and this guard's brains never read a good one.
    """
    kept = state / "run" / "config.json"
    earlier = _read(kept)
    if earlier is not None:
        return earlier
    config = load_config(path, environ=environ)
    data = {"format": _FORMAT, "guard": _guard(), "config": config.as_data()}
    with contextlib.suppress(OperationError):  # a full disk: the next brain reads the file again
        write_durable(kept, json.dumps(data).encode())
    return config


def _read(kept: Path) -> Config | None:
    try:
        data = json.loads(kept.read_bytes())
        is_ours = (data["format"], data["guard"]) == (_FORMAT, _guard())
        return Config.model_validate(data["config"]) if is_ours else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _guard() -> str:
    return str(identity_of(os.getppid()))
