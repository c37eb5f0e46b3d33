"""The dashboard's files, read once and kept in memory with their tags."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file.

    Args:
        content: Its bytes.
        media_type: By its ending.
        tag: Changes when the content does (HTTP ETag).
    """

    content: bytes
    media_type: str
    tag: str


@cache
def load_assets() -> Mapping[str, Asset]:
    """Read every file of the dashboard, by name. Only these are ever served."""
    return {path.name: _load(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Asset(content=content, media_type=_TYPES[path.suffix], tag=tag)
