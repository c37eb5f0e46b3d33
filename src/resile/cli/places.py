"""Where a system keeps its things, found without reading the whole configuration.

Reads the one key that matters, `[resile] state_dir`, with the standard library alone: `status`
must be quick, and must work while somebody is editing the rest of the file.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resile.errors import ConfigError

FILE_NAME = "resile.toml"
_STATE_DIR = ".resile"
_STATE_DIR_VARIABLE = "RESILE_RESILE__STATE_DIR"
_STATE_DIR_LINE = rb"""(?m)^\s*state_dir\s*=\s*(["'])(.+?)\1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files of one system.

    Args:
        config: Its `resile.toml`.
        state: Its state folder; may not exist yet.
    """

    config: Path
    state: Path

    @property
    def run(self) -> Path:
        """The folder of sockets and locks."""
        return self.state / "run"

    @property
    def socket(self) -> Path:
        """Where the brain answers."""
        return self.run / "resile.sock"

    @property
    def lock(self) -> Path:
        """What the guard holds while it lives."""
        return self.run / "guard.lock"

    @property
    def guard_facts(self) -> Path:
        """Who the guard is."""
        return self.run / "guard.json"

    @property
    def journal(self) -> Path:
        """The journal's folder."""
        return self.state / "journal"

    @property
    def logs(self) -> Path:
        """The folder of the services' output."""
        return self.state / "logs"

    @property
    def guard_log(self) -> Path:
        """The daemon's own output, when it runs in the background."""
        return self.logs / "guard.log"


def find_places(
    config: Path | None, *, environ: Mapping[str, str] | None = None, start: Path | None = None
) -> Places:
    """Find the configuration file, and the state folder that it names.

    Args:
        config: The file; None looks for the nearest one. If it is no TOML while a guard has left
            its facts, the line of the state folder is enough: whoever broke the file must still be
            able to look at what runs, and to end it.
        environ: May override the state folder. Default: the process's own.
        start: Where the search begins. Default: the current folder.

    Raises:
        ConfigError: If there is no such file, or it is no TOML and nothing was started there.
    """
    file = (config or _nearest(start or _here())).absolute()
    state_dir = (os.environ if environ is None else environ).get(_STATE_DIR_VARIABLE)
    return Places(
        config=file,
        state=_beside(file, state_dir or _state_dir(file)),
    )


def _beside(file: Path, state_dir: str) -> Path:
    return file.resolve().parent / Path(state_dir).expanduser()


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as exc:
        raise ConfigError(
            "the current folder does not exist any more",
            hint="go to another one with `cd`, or name the file with -c FILE",
        ) from exc


def _nearest(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"there is no {FILE_NAME} in {start} or above it",
        hint="write one with `resile init`, or name it with -c FILE",
    )


def _state_dir(file: Path) -> str:
    import tomllib  # Here, as a run outside of any system need not load it.

    try:
        content = file.read_bytes()
        data = tomllib.loads(content.decode())
    except FileNotFoundError:
        raise ConfigError(
            f"{file} does not exist", hint="write one with `resile init`, or name it with -c FILE"
        ) from None
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        state_dir = _state_dir_of_broken(content)
        if Places(config=file, state=_beside(file, state_dir)).guard_facts.exists():
            return state_dir
        raise ConfigError(
            f"{file.name} is not TOML: {exc}", hint="`resile config check` tells more"
        ) from exc
    section = data.get("resile", {})
    value = section.get("state_dir", _STATE_DIR) if isinstance(section, dict) else _STATE_DIR
    return value if isinstance(value, str) and value else _STATE_DIR


def _state_dir_of_broken(content: bytes) -> str:
    line = re.search(_STATE_DIR_LINE, content)
    return os.fsdecode(line[2]) if line else _STATE_DIR
