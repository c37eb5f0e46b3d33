"""Loads the file of an experiment, in whichever format it is."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from resile.chaos.catalogue import FAULTS
from resile.chaos.experiments.model import Experiment
from resile.chaos.experiments.own import read_own
from resile.chaos.experiments.toolkit import read_toolkit
from resile.chaos.port import Fault
from resile.errors import ConfigError, MissingExtraError

FILE_BYTES_MAX: Final = 1 << 20


def load_experiment(
    path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    faults: Mapping[str, Fault] = FAULTS,
) -> Experiment:
    """Load an experiment: `.toml` is resile's own format, `.json` and `.yaml` are the Chaos Toolkit's.

    Args:
        path: The file.
        environ: For values that are in the environment. Default: the process's own.
        faults: The catalogue.

    Raises:
        ConfigError: If it cannot be read, or anything in it is wrong; `problems` has all of it.
        MissingExtraError: If it is YAML, and PyYAML is not installed.
    """
    text = _read(path)
    problems: list[str] = []
    if path.suffix == ".toml":
        experiment = read_own(_toml(path, text), faults, problems)
    else:
        data = _json(path, text) if path.suffix == ".json" else _yaml(path, text)
        experiment = read_toolkit(data, os.environ if environ is None else environ, problems)
    if problems:
        count = "1 thing is" if len(problems) == 1 else f"{len(problems)} things are"
        raise ConfigError(
            f"{count} wrong with {path.name}",
            hint="nothing was started",
            problems=tuple(problems),
        )
    return experiment


def _read(path: Path) -> str:
    if path.suffix not in (".toml", ".json", ".yaml", ".yml"):
        raise ConfigError(
            f"nobody knows what {path.name} is", hint="name a .toml, .json or .yaml file"
        )
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than an experiment", hint="is it one?")
        return data.decode()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is no text: {exc}") from exc


def _toml(path: Path, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path.name} is no TOML: {exc}") from exc


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path.name} is no JSON: {exc}") from exc


def _yaml(path: Path, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]  # No dependency of ours: whoever has YAML has it.
    except ImportError:
        raise MissingExtraError(
            f"{path.name} is YAML, which needs PyYAML",
            hint="pip install pyyaml, or write the experiment as JSON",
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path.name} is no YAML: {exc}") from exc
