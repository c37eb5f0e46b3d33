"""Read `resile.toml`: every fault in it at once, each with its place."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from resile.core.config.crosscheck import cross_check
from resile.core.config.faults import Fault
from resile.core.config.locate import locate
from resile.core.config.model import Config
from resile.core.config.overrides import apply_overrides
from resile.core.config.playbook_files import merge_playbooks
from resile.core.config.prunable import kept_faults
from resile.core.config.report import faults_of, render
from resile.core.vocabulary import CONFIG_BYTES_MAX
from resile.errors import ConfigError

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load_config(path: Path, *, environ: Mapping[str, str]) -> Config:
    """Read the file, put the environment's settings over it, and check everything.

    Args:
        path: The file; relative paths in it start at its folder.
        environ: Where `RESILE_*` settings are looked for, such as `os.environ`.

    Raises:
        ConfigError: With every fault in `problems`, each as `file:line: key: message (hint)`.
    """
    text = _read(path)
    data = _parse(text, path)
    sources, faults = apply_overrides(data, environ)
    folder = path.resolve().parent
    files = merge_playbooks(data, folder=folder)
    config, more = _validate(data, folder=folder)
    found = (*faults, *files.faults, *more, *cross_check(data), *_kept(config, folder))
    if config is None or found or files.problems:
        texts, own = files.render_own(found)
        problems = render(own, file=path.name, lines=locate(text), sources=sources)
        raise _wrong(path, (*problems, *files.problems, *texts))
    return config


def _kept(config: Config | None, folder: Path) -> Iterator[Fault]:
    if config is None:
        return
    own = config.resile
    declared = [
        (("resile", "prunable"), folder, own.prunable),
        *((("service", name, "prunable"), s.cwd, s.prunable) for name, s in config.service.items()),
    ]
    yield from kept_faults(declared, state=own.state_dir)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist", hint="write one with `resile init`, or name it with -c FILE"
        ) from None
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read: {exc.strerror}", hint="name a readable file with -c FILE"
        ) from exc
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path} is larger than 4 MiB", hint="is it the right file?")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _wrong(path, (f"{path.name}:{line}: is not UTF-8 text",)) from exc


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        message = str(exc)
        match = _PLACE.search(message)
        last = text.count("\n") + 1
        line, column = (match.group(1), match.group(2)) if match else (None, None)
        place = f"{line}:{column}" if line else f"{last}"
        what = _PLACE.sub("", message)
        raise _wrong(path, (f"{path.name}:{place}: {what}",)) from exc


def _validate(data: dict[str, Any], *, folder: Path) -> tuple[Config | None, tuple[Fault, ...]]:
    try:
        return Config.model_validate(data, context={"folder": folder}), ()
    except ValidationError as exc:
        return None, faults_of(exc)


def _wrong(path: Path, problems: tuple[str, ...]) -> ConfigError:
    count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
    return ConfigError(
        f"{path} has {count}",
        hint="mend the lines above, then try `resile config check`",
        problems=problems,
    )
