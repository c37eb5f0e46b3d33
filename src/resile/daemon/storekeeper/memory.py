"""What the storekeeper remembers across restarts: a small file with a checksum."""

import json
import logging
from pathlib import Path

from blake3 import blake3

from resile.core.codec import decode, encode
from resile.core.files import write_durable
from resile.daemon.storekeeper.model import Memory
from resile.errors import OperationError

logger = logging.getLogger(__name__)

FILE_NAME = "storekeeper.json"
VERSION = 1


def load(state: Path) -> Memory:
    """Read what is remembered; nothing where the file is missing or damaged: all is done once more."""
    try:
        record = json.loads((state / FILE_NAME).read_bytes())
        if record["version"] == VERSION and record["hash"] == _hash(record["memory"]):
            return decode(Memory, record["memory"])
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, KeyError, TypeError) as exc:
        logger.warning("storekeeper.memory_unreadable", extra={"reason": str(exc)})
        return Memory()
    logger.warning("storekeeper.memory_damaged")
    return Memory()


def save(state: Path, memory: Memory) -> None:
    """Write it, durable. What cannot be written is done once more after a restart."""
    data = encode(memory)
    record = {"version": VERSION, "hash": _hash(data), "memory": data}
    try:
        write_durable(state / FILE_NAME, json.dumps(record).encode())
    except OperationError as exc:
        logger.warning("storekeeper.memory_unwritten", extra={"reason": exc.message})


def _hash(data: object) -> str:
    return blake3(json.dumps(data, sort_keys=True).encode()).hexdigest()
