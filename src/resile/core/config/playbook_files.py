"""Read the files of the playbooks' folder into the data of the configuration, each under its name."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resile.core.config.faults import Fault
from resile.core.config.faults import Path as Key
from resile.core.config.locate import locate
from resile.core.config.report import render

FOLDER = "playbooks"
"""Beside `resile.toml`, where `[playbooks] folder` says nothing else."""
FILES_MAX = 200
FILE_BYTES_MAX = 256 << 10
"""A playbook of twenty steps is below 8 KiB."""
_LEVEL = 2
"""A playbook's own keys stand below `playbook` and its name."""


@dataclass(frozen=True, slots=True)
class PlaybookFiles:
    """Which playbook came from which file, and what was wrong with the files themselves.

    Args:
        shown: The file's path for people, by the name of its playbook.
        lines: Where each key of it stands, by the name of its playbook.
        problems: What kept files from being read, as `file:line: message`.
        faults: What is wrong with the setting that names the folder.
    """

    shown: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, dict[Key, int]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def render_own(self, faults: Iterable[Fault]) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Write the faults of playbooks that came from files; give them, and all other faults."""
        texts: list[str] = []
        others: list[Fault] = []
        for fault in faults:
            name = str(fault.path[1]) if fault.path[:1] == ("playbook",) and fault.path[1:] else ""
            if name not in self.shown:
                others.append(fault)
                continue
            path = fault.path[_LEVEL:] or ("name",)
            own = Fault(path=path, message=fault.message, hint=fault.hint)
            texts += render([own], file=self.shown[name], lines=self.lines[name], sources={})
        return tuple(texts), tuple(others)


def merge_playbooks(data: dict[str, Any], *, folder: Path) -> PlaybookFiles:
    """Put every file's playbook under `playbook.NAME` into the data.

    Args:
        data: Of `resile.toml`; it is added to.
        folder: Of `resile.toml`.
    """
    section = data.get("playbooks")
    written = section.get("folder") if isinstance(section, dict) else None
    if written is not None and not isinstance(written, str):
        return PlaybookFiles()
    place = folder / Path(written or FOLDER).expanduser()
    if not place.is_dir():
        is_usual = place == folder / FOLDER
        return PlaybookFiles(faults=() if is_usual else _missing(place))
    tables = data.setdefault("playbook", {})
    if not isinstance(tables, dict):
        return PlaybookFiles()
    return _merge_folder(tables, place)


def _merge_folder(tables: dict[str, Any], place: Path) -> PlaybookFiles:
    shown: dict[str, str] = {}
    lines: dict[str, dict[Key, int]] = {}
    problems: list[str] = []
    files = sorted(place.glob("*.toml"))
    if len(files) > FILES_MAX:
        return PlaybookFiles(problems=(f"{place.name}: more than {FILES_MAX} playbooks",))
    for file in files:
        label = f"{place.name}/{file.name}"
        try:
            text = _read(file)
            table = tomllib.loads(text)
        except (OSError, ValueError) as exc:
            problems.append(f"{label}: cannot be read: {exc}")
            continue
        name = table.pop("name", file.stem)
        if not isinstance(name, str) or name in tables:
            taken = f'"{name}" is a playbook already' if isinstance(name, str) else "must be text"
            problems.append(f"{label}: name: {taken} (give each playbook a name of its own)")
            continue
        tables[name] = table
        shown[name], lines[name] = label, locate(text)
    return PlaybookFiles(shown=shown, lines=lines, problems=tuple(problems))


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError("it is larger than 256 KiB")
    return content.decode()


def _missing(place: Path) -> tuple[Fault, ...]:
    return (
        Fault(
            path=("playbooks", "folder"),
            message=f"{place} is no folder",
            hint="make it, or take this setting away",
        ),
    )
