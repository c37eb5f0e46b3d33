"""The undo records of one state folder: what must be taken back, known to every process.

`ID.json` is a record, durable before its fault. `ID.ended` tells that the fault was taken back while its
engine, which alone forgets it, may still be about to apply it. `ID.state` is what a carrier says of its
work, `ID.N.carrier` who it is.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from resile.chaos.decide import STOPPED
from resile.chaos.model import Ending, UndoRecord
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.codec import decode, encode
from resile.core.files import (
    SYSTEM_FILES,
    Files,
    make_private_dir,
    write_atomic,
    write_durable,
)
from resile.core.process import Identity
from resile.core.switch_file import SwitchReader
from resile.core.vocabulary import Part
from resile.errors import OperationError

T = TypeVar("T")
VERSION: Final = 1
RECORDS_MAX: Final = 200
"""More faults at once than that are a mistake."""
STOP_NAME: Final = "stop"
"""While there is a file of this name, no fault begins, and those that are active end."""
MACHINE_STOP: Final = Path("/run/resile/no-chaos")
"""The same for all systems of the machine."""
_BYTES_MAX: Final = 1 << 20


class Ledger:
    """The folder of undo records. Safe to share between threads and processes.

    Args:
        folder: Where they are: `chaos` in the state folder. Made by the first record.
        files: Where durable writes go; tests give one that fails.
        clock: Tells whether the time of a switch is over.
    """

    def __init__(
        self, folder: Path, *, files: Files = SYSTEM_FILES, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.folder = folder
        self._files = files
        self._clock = clock
        self._switches = SwitchReader(folder.parent)

    def begin(self, record: UndoRecord) -> None:
        """Keep a record; durable when it returns: its fault may be applied now.

        Raises:
            OperationError: If it could not be written, or there are too many: nothing may be applied.
        """
        make_private_dir(self.folder)
        if len(self._ids("*.json")) >= RECORDS_MAX:
            raise OperationError(
                f"{RECORDS_MAX} faults are active already", hint="end them: resile chaos undo --all"
            )
        self._write(self.folder / f"{record.fault_id}.json", record)

    def records(self) -> tuple[UndoRecord, ...]:
        """List the records that can be read, the oldest first."""
        found = (self.get(fault_id) for fault_id in self._ids("*.json"))
        return tuple(record for record in found if record is not None)

    def unreadable(self) -> tuple[Path, ...]:
        """List the records that cannot be read: a person must look at what they were about."""
        paths = (self.folder / f"{fault_id}.json" for fault_id in self._ids("*.json"))
        return tuple(path for path in paths if self.get(path.stem) is None and path.exists())

    def get(self, fault_id: str) -> UndoRecord | None:
        """Give a record; None if there is none, or it cannot be read."""
        return _read(UndoRecord, self.folder / f"{fault_id}.json")

    def is_active(self, fault_id: str) -> bool:
        """Tell whether a fault has not been taken back."""
        return self._has(f"{fault_id}.json") and not self._has(f"{fault_id}.ended")

    def end(self, ending: Ending) -> None:
        """Note that a fault was taken back; durable.

        Raises:
            OperationError: If it could not be written.
        """
        self._write(self.folder / f"{ending.fault_id}.ended", ending)

    def ending(self, fault_id: str) -> Ending | None:
        """Tell how a fault was taken back; None if it was not."""
        return _read(Ending, self.folder / f"{fault_id}.ended")

    def forget(self, fault_id: str) -> None:
        """Remove all that is kept of a fault that is gone; durable. Idempotent.

        Raises:
            OperationError: If it could not be removed.
        """
        try:
            self._files.remove(self.folder / f"{fault_id}.json")
            self._files.sync_folder(self.folder)
            for path in self.folder.glob(f"{fault_id}.*"):
                self._files.remove(path)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise OperationError(
                f"what is kept of {fault_id} could not be removed: {exc.strerror}",
                hint=f"Check the permissions of {self.folder}.",
                is_transient=True,
            ) from exc

    def say(self, fault_id: str, state: Mapping[str, Any]) -> None:
        """Keep what a carrier says of its work; not durable.

        Raises:
            OperationError: If it could not be written.
        """
        write_atomic(self.folder / f"{fault_id}.state", json.dumps(state).encode())

    def said(self, fault_id: str) -> Mapping[str, Any]:
        """Give what the carrier said last; nothing if it has said nothing."""
        found = _json(self.folder / f"{fault_id}.state")
        return found if isinstance(found, dict) else {}

    def enlist(self, fault_id: str, number: int, who: Identity) -> None:
        """Note who carries a fault, for whoever has to end it.

        Raises:
            OperationError: If it could not be written.
        """
        data = json.dumps(encode(who)).encode()
        write_atomic(self.folder / f"{fault_id}.{number}.carrier", data)

    def carriers(self, fault_id: str) -> tuple[Identity, ...]:
        """List who carries a fault, dead ones included."""
        found = []
        for path in sorted(self.folder.glob(f"{fault_id}.*.carrier")):
            with contextlib.suppress(ValueError):
                found.append(decode(Identity, _json(path)))
        return tuple(found)

    def is_stopped(self) -> bool:
        """Tell whether somebody forbids faults: in this system, or on the whole machine."""
        return bool(self.why_stopped())

    def why_stopped(self) -> str:
        """Tell why no fault may begin and those that are active end; empty if they may.

        Where nobody knows whether chaos is switched off, it is.
        """
        if self._has(STOP_NAME) or MACHINE_STOP.exists():
            return STOPPED
        return self._switches.why_off(Part.CHAOS, self._clock.now())

    def _has(self, name: str) -> bool:
        return os.path.lexists(self.folder / name)

    def _ids(self, pattern: str) -> list[str]:
        return sorted(path.stem for path in self.folder.glob(pattern))

    def _write(self, path: Path, value: object) -> None:
        body = encode(value)
        data = json.dumps({"version": VERSION, "sum": _sum(body), "body": body}).encode()
        write_durable(path, data, files=self._files)


def _read(kind: type[T], path: Path) -> T | None:
    """Read what was written whole; None if it is missing, damaged or of a later version."""
    found = _json(path)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return None
    body = found.get("body")
    if found.get("sum") != _sum(body):
        return None
    try:
        return decode(kind, body)
    except ValueError:
        return None


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.loads(file.read(_BYTES_MAX))
    except (OSError, ValueError):
        return None


def _sum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
