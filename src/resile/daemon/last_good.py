"""The configuration that a new brain goes on with when the file was spoilt meanwhile.

A brain may be killed while somebody edits `resile.toml`. Services run; supervising them by what
was valid a moment ago beats not supervising them at all.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from resile.core.config import Config, load_config
from resile.core.files import write_durable
from resile.errors import ConfigError

_FORMAT = 1


def load_or_keep(path: Path, *, state: Path, environ: Mapping[str, str]) -> tuple[Config, str]:
    """Read the file; where it is wrong, take what an earlier brain of this guard read.

    Returns:
        The configuration, and why the file was not taken; empty if it was.

    Raises:
        ConfigError: If the file is wrong and this guard's brains never read a good one.
    """
    kept = state / "run" / "config.json"
    try:
        config = load_config(path, environ=environ)
    except ConfigError as exc:
        earlier = _read(kept)
        if earlier is None:
            raise
        return earlier, exc.report()
    _write(kept, config)
    return config, ""


def _write(kept: Path, config: Config) -> None:
    data = {"format": _FORMAT, "guard_pid": os.getppid(), "config": config.as_data()}
    write_durable(kept, json.dumps(data).encode())


def _read(kept: Path) -> Config | None:
    try:
        data = json.loads(kept.read_bytes())
        is_ours = (data["format"], data["guard_pid"]) == (_FORMAT, os.getppid())
        return Config.model_validate(data["config"]) if is_ours else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
