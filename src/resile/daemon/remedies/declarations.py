"""How each service was declared when it last worked, and going back to that.

A declaration is proven when the service has been ready with it for as long as its restarts call healthy. It is
kept in a file of its own in the state folder. What was rolled back stays so, for every later brain and guard,
until the declaration is changed again: whoever changes it has seen to it.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from resile.core.config import Config
from resile.core.config.services import ServiceSection
from resile.core.files import make_private_dir, write_durable
from resile.errors import OperationError
from resile.recover import World

FOLDER = "declared"
_FORMAT = 1
_FILE_BYTES_MAX = 1 << 20
_LAUNCHED = ("command", "cwd", "env", "limits", "stop", "notify", "watchdog")


class Declarations:
    """Not thread-safe.

    Args:
        config: What is declared now.
        state: The state folder.
    """

    def __init__(self, config: Config, *, state: Path) -> None:
        self._declared = {name: _data_of(one) for name, one in config.service.items()}
        self._digests = {name: _digest(data) for name, data in self._declared.items()}
        self._folder = state / FOLDER
        self._proven = {name: self._read(name, "proven") for name in self._declared}
        self._rolled_back = {
            name
            for name in self._declared
            if self._read(name, "refused").get("digest") == self._digests[name]
        }
        self._config = config

    def effective(self) -> Config:
        """Give the configuration with what was rolled back as it was."""
        changes = {name: self._earlier(name) for name in self._rolled_back}
        kept = {name: section for name, section in changes.items() if section is not None}
        services = {**self._config.service, **kept}
        return self._config.model_copy(update={"service": services}) if kept else self._config

    def is_changed(self, name: str) -> bool:
        """Tell whether a service is declared otherwise than when it last worked, and runs so."""
        proven = self._proven[name].get("digest")
        return proven not in (None, self._digests[name]) and name not in self._rolled_back

    def changed(self) -> tuple[str, ...]:
        """List the services of which `is_changed` holds."""
        return tuple(filter(self.is_changed, self._declared))

    def roll_back(self, name: str, *, at: datetime) -> tuple[Config, str]:
        """Go back to how a service was declared when it last worked. Durable; idempotent.

        Returns:
            What is in force now, and since when that was proven.

        Raises:
            OperationError: If nothing else was ever proven, or it cannot be kept.
        """
        if name not in self._declared:
            raise OperationError(f"no service {name} is declared")
        if name not in self._rolled_back and not self.is_changed(name):
            raise OperationError(
                f"{name} is declared as when it last worked, so no change can be taken back",
                hint=f"see what it says: resile logs {name}",
            )
        if self._earlier(name) is None:
            raise OperationError(f"how {name} was declared before cannot be read any more")
        self._write(name, "refused", {"digest": self._digests[name], "at": at.isoformat()})
        self._rolled_back.add(name)
        return self.effective(), str(self._proven[name].get("at", ""))

    def note_proven(self, world: World, now: datetime) -> None:
        """Keep the declaration of each service that has been ready for long enough. Writes few small files, once each."""
        for name in self._due(world, now):
            fresh = {
                "digest": self._digests[name],
                "at": now.isoformat(),
                "service": self._declared[name],
            }
            self._proven[name] = fresh  # Before the write: a full disk is not asked each second.
            with contextlib.suppress(OperationError):
                self._write(name, "proven", fresh)

    def _due(self, world: World, now: datetime) -> Iterator[str]:
        for name in self._declared:
            if name in self._rolled_back or self._digests[name] == self._proven[name].get("digest"):
                continue
            status = world.services.get(name)
            ready_at = None if status is None else status.ready_at
            healthy_s = self._config.service[name].restart.healthy_after
            if ready_at is not None and now - ready_at >= timedelta(seconds=healthy_s):
                yield name

    def _earlier(self, name: str) -> ServiceSection | None:
        try:
            return ServiceSection.model_validate(self._proven[name].get("service"))
        except ValidationError:  # Another version wrote it, or nobody did.
            return None

    def _read(self, name: str, what: str) -> Mapping[str, Any]:
        try:
            with (self._folder / f"{name}.{what}.json").open("rb") as file:
                data = json.loads(file.read(_FILE_BYTES_MAX))
            return data if isinstance(data, dict) and data.get("format") == _FORMAT else {}
        except (OSError, ValueError, RecursionError):
            return {}

    def _write(self, name: str, what: str, data: Mapping[str, Any]) -> None:
        make_private_dir(self._folder)
        text = json.dumps({"format": _FORMAT, **data}).encode()
        write_durable(self._folder / f"{name}.{what}.json", text)


def _data_of(section: ServiceSection) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude_none=True)


def _digest(data: Mapping[str, Any]) -> str:
    """Name what is declared of how it is launched; its checks and restarts are no part of that."""
    data = {key: data[key] for key in _LAUNCHED if key in data}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
