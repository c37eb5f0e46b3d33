"""The shapes of the store in the API; as those of `models.py`, they let later fields pass."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from resile.web.models import Shape

PATHS_MAX = 500
PATH_LENGTH_MAX = 4096


class Trouble(Shape):
    """Why the store cannot be read now."""

    kind: Literal["missing", "key", "damaged", "unreachable", "slow"]
    text: str
    hint: str = Field(default="", description="What helps, mostly a command.")


class SnapshotFacts(Shape):
    """A folder as it was."""

    id: str
    source: str
    host: str = ""
    user: str = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime
    tags: list[str] = Field(default=[])
    files: int = Field(description="Everything that is no folder.")
    folders: int = 0
    bytes: int = Field(description="Sizes of all files.")
    new_bytes: int = Field(default=0, description="What no earlier snapshot of the store had.")
    stored_bytes: int = Field(default=0, description="What that took in the store.")
    unread: int = Field(default=0, description="Paths that could not be read and are missing.")
    is_protected: bool = Field(default=False, description="It is never forgotten.")
    is_safety: bool = Field(default=False, description="A restore in place took it.")


class Totals(Shape):
    """The store as a whole."""

    snapshots: int = 0
    snapshot_bytes: int = Field(default=0, description="Sizes of all files of all snapshots.")
    store_bytes: int = Field(default=0, description="What the store takes.")
    dedup_ratio: float | None = Field(
        default=None, description="`snapshot_bytes` by `store_bytes`; null: the store is empty."
    )


class Verification(Shape):
    """A look through the store that has ended."""

    at: AwareDatetime
    is_full: bool = Field(description="Every byte was read.")
    files: int
    bytes: int
    flaws: int
    duration_s: float


class Flaw(Shape):
    """Something damaged, in the store or in a protected folder."""

    at: AwareDatetime
    where: Literal["store", "folder"]
    name: str
    what: str
    mended_at: AwareDatetime | None = Field(default=None, description="null: it is not mended.")
    origin: str = Field(default="", description="What it was mended from.")
    duration_s: float | None = None


class Lost(Shape):
    """What a repair could not bring back."""

    at: AwareDatetime
    paths: int
    first: str


class Failed(Shape):
    """The last snapshot of a folder that could not be taken."""

    at: AwareDatetime
    source: str
    reason: str


class Replica(Shape):
    """The second store."""

    place: str
    replicated_at: AwareDatetime | None = Field(default=None, description="null: never.")
    lag_s: float = Field(description="Age of the oldest snapshot that it lacks; 0: in step.")
    trouble: str = Field(default="", description="Why it could not be reached; empty: it was.")


class StoreHealth(Shape):
    """What the journal tells of the store."""

    verified: Verification | None = Field(default=None, description="null: never.")
    fully_verified_at: AwareDatetime | None = None
    found: int = Field(default=0, description="Damaged things, as far as the journal goes back.")
    mended: int = 0
    flaws: list[Flaw] = Field(default=[], description="The latest, newest first.")
    lost: Lost | None = None
    failed: list[Failed] = Field(
        default=[], description="Folders whose last snapshot could not be taken."
    )


class KeeperJob(Shape):
    """What the storekeeper does now."""

    kind: Literal["snapshot", "replicate", "collect", "scrub", "live"] = Field(
        description="`scrub` reads the store, `live` compares a protected folder, piece by piece."
    )
    name: str = Field(default="", description="Of `[snapshot.NAME]`; `store` or `replica`.")
    since: AwareDatetime
    files: int = Field(default=0, description="Looked at so far.")
    bytes: int = Field(default=0, description="Likewise.")
    total_bytes: int | None = Field(default=None, description="About how many; null: unknown.")


class NextJob(Shape):
    """What it does next."""

    kind: Literal["snapshot", "replicate", "collect", "scrub", "live"]
    name: str = ""
    at: AwareDatetime


class Keeper(Shape):
    """The storekeeper."""

    jobs: list[KeeperJob] = Field(default=[])
    next: NextJob | None = None


class Store(Shape):
    """The store with its snapshots."""

    place: str
    trouble: Trouble | None = Field(
        default=None, description="null: it can be read. Else what is shown was read before."
    )
    read_at: AwareDatetime | None = Field(
        default=None, description="When the snapshots were listed; null: they never were."
    )
    snapshots: list[SnapshotFacts] = Field(description="Newest first.")
    is_cut: bool = Field(default=False, description="There are older ones than those listed.")
    totals: Totals = Totals()
    health: StoreHealth = StoreHealth()
    replica: Replica | None = Field(default=None, description="null: none is declared.")
    keeper: Keeper | None = Field(
        default=None, description="null: no storekeeper runs, or nothing is declared for it."
    )
    may_decide: bool = Field(description="Whoever asked may compare, restore and protect.")


class Difference(Shape):
    """A path that differs."""

    path: str
    kind: Literal["created", "deleted", "modified", "metadata", "replaced"]
    file_type: str = ""
    size_before: int | None = None
    size_after: int | None = None


class Moment(Shape):
    """How a folder at a moment came to be."""

    at: AwareDatetime
    base_at: AwareDatetime = Field(description="Of the snapshot that it begins from.")
    replayed: int = Field(default=0, description="Commits that the log of the folder has after it.")
    until: AwareDatetime | None = Field(default=None, description="Of the last one; null: none.")
    is_logged: bool = False
    gap: str = Field(default="", description="What the log does not have; empty: nothing.")
    problem: str = Field(
        default="", description="Why not all up to the moment was replayed; empty: it was."
    )


class StoreDiff(Shape):
    """What it takes to come from `against` to the snapshot, or to the moment."""

    id: str = Field(description="The snapshot, or the one that the moment begins from.")
    against: str
    counts: dict[str, int] = Field(description="Of all paths that differ, by kind.")
    changes: list[Difference] = Field(description="At most 1000, in the order of the paths.")
    is_cut: bool = Field(default=False, description="There are more than those listed.")
    left_out: int = Field(
        default=0,
        description="Paths of the folder that its snapshots leave out: a restore keeps them.",
    )
    moment: Moment | None = Field(default=None, description="null: it is a snapshot.")


class TextDiff(Shape):
    """How one path differs."""

    path: str
    diff: str = Field(description="A unified diff; empty where there is no text to compare.")
    is_cut: bool = False


class Problem(Shape):
    """A path that was not restored as it was."""

    path: str
    reason: str


class Restored(Shape):
    """A restore in place that is done, and durable."""

    id: str
    target: str
    before: str | None = Field(
        default=None, description="The snapshot of what was there; null: nothing was."
    )
    files: int
    folders: int
    bytes: int
    kept: int = Field(
        default=0, description="Paths that its snapshots leave out, and that stayed as they were."
    )
    duration_s: float
    skipped: list[Problem] = Field(default=[], description="Without a part of its metadata.")
    skipped_count: int = 0
    foreign_count: int = Field(
        default=0, description="Belong to this user now; see `resile restore`."
    )
    not_noted: str = Field(
        default="",
        description="Why the log of the folder does not know it: going back ends there. Empty: it does.",
    )


class Protected(Shape):
    """Whether a snapshot is protected now."""

    id: str
    is_protected: bool


RestorePath = Annotated[str, StringConstraints(min_length=1, max_length=PATH_LENGTH_MAX)]


class RestoreWish(BaseModel):
    """What to restore, and who wants it."""

    model_config = ConfigDict(extra="forbid")

    paths: list[RestorePath] = Field(
        default=[],
        max_length=PATHS_MAX,
        description="Those at and below them, from the source on; none means all.",
    )
    who: str = Field(default="operator", min_length=1, max_length=100)


class MomentWish(RestoreWish):
    """What to restore to which moment."""

    source: str = Field(min_length=1, max_length=PATH_LENGTH_MAX, description="The folder.")
    at: AwareDatetime


class Protection(BaseModel):
    """Whether a snapshot shall be protected."""

    model_config = ConfigDict(extra="forbid")

    is_on: bool = Field(default=True, description="false: rules may forget it again.")
