"""The story of a store: snapshots, what was verified, what was damaged, and what mended it."""

from dataclasses import dataclass
from typing import ClassVar

from resile.core.events.envelope import Payload

SUBJECT = "store"


class _StorePayload(Payload):
    """What is about the store as a whole."""

    @property
    def subject(self) -> str:
        """The store."""
        return SUBJECT


class _SourcePayload(Payload):
    """What is about one folder that gets snapshots."""

    source: str

    @property
    def subject(self) -> str:
        """The folder."""
        return f"folder/{self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken(_SourcePayload):
    """A folder was kept as it was; the snapshot is durable."""

    kind: ClassVar[str] = "snapshot.taken"
    source: str
    snapshot_id: str
    place: str
    files: int
    bytes: int
    new_bytes: int
    stored_bytes: int
    unread: int = 0
    """Paths that could not be read and are missing in it."""
    is_changed: bool = True
    duration_s: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFailed(_SourcePayload):
    """A snapshot could not be taken; those before it are as they were."""

    kind: ClassVar[str] = "snapshot.failed"
    source: str
    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRestored(_SourcePayload):
    """A snapshot was brought back, in place or beside."""

    kind: ClassVar[str] = "snapshot.restored"
    source: str
    snapshot_id: str
    target: str
    before_id: str = ""
    """The snapshot of what was there before; empty: it was not restored in place."""
    files: int
    bytes: int
    lost: int = 0
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotsForgotten(_StorePayload):
    """Snapshots were let go, by rules or by name."""

    kind: ClassVar[str] = "snapshot.forgotten"
    place: str
    snapshot_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCollected(_StorePayload):
    """What no snapshot needs was removed."""

    kind: ClassVar[str] = "store.collected"
    place: str
    removed: int
    removed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVerified(_StorePayload):
    """A store was verified, or scrubbed once from its beginning to its end."""

    kind: ClassVar[str] = "store.verified"
    place: str
    is_full: bool
    """Every byte was read."""
    files: int
    bytes: int
    flaws: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDamaged(_StorePayload):
    """A file of a store is missing, or is not what was put in."""

    kind: ClassVar[str] = "store.damaged"
    place: str
    file: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMended(_StorePayload):
    """A damaged file of a store is whole again, or what it held stands elsewhere."""

    kind: ClassVar[str] = "store.mended"
    place: str
    file: str
    origin: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLost(_StorePayload):
    """After a repair something cannot be restored any more."""

    kind: ClassVar[str] = "store.lost"
    place: str
    paths: int
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReplicated(_StorePayload):
    """A second store was brought in step."""

    kind: ClassVar[str] = "store.replicated"
    place: str
    replica: str
    copied: int
    copied_bytes: int
    lag_s: float
    """Age of the oldest snapshot that it lacked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUnreachable(_StorePayload):
    """A store, or the second one, could not be read or written."""

    kind: ClassVar[str] = "store.unreachable"
    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMismatched(_SourcePayload):
    """A protected file has other content than it should, and nobody changed it by its times."""

    kind: ClassVar[str] = "data.mismatched"
    source: str
    path: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMended(_SourcePayload):
    """A protected file has its verified content again."""

    kind: ClassVar[str] = "data.mended"
    source: str
    path: str
    snapshot_id: str
    duration_s: float
