"""The shapes of drills in the API; as those of `models.py`, they let later fields pass."""

from pydantic import AwareDatetime, Field

from resile.core.vocabulary import DrillVerdict
from resile.web.models import Shape


class ProofScore(Shape):
    """How much of the matrix is proven."""

    points: int = Field(ge=0, le=100, description="100: everything is proven, and lately.")
    proven: int = Field(description="Cells whose proof still counts.")
    cells: int
    fresh_s: float = Field(description="So long a proof counts in full.")
    half_life_s: float = Field(description="Then it loses half of its worth in this time.")
    window_s: float = Field(description="What is older proves nothing.")


class Figures(Shape):
    """What a scenario has shown; times are seconds after the fault was begun."""

    fault: str
    verdict: DrillVerdict
    detected_s: float | None = Field(default=None, description="null: never, or not measured.")
    recovered_s: float | None = Field(default=None, description="null: never, or not measured.")
    recovery_s_max: float | None = Field(default=None, description="The target; null: none.")
    acked: int | None = Field(default=None, description="Acknowledged writes; null: not counted.")
    lost: int | None = Field(default=None, description="Of these, gone afterwards; null likewise.")
    failed: int | None = Field(default=None, description="Requests that failed; null likewise.")
    why: str = ""


class LastResult(Figures):
    """What was told last about a cell."""

    at: AwareDatetime
    drill_id: str


class MatrixCell(Shape):
    """A scenario, and what it hits."""

    cell: str
    scenario: str
    target: str
    text: str = Field(default="", description="What happens, for people.")
    weight: float
    worth: float = Field(ge=0, le=1, description="How much its proof still counts.")
    passed_at: AwareDatetime | None = Field(default=None, description="Proven last; null: never.")
    last: LastResult | None = Field(default=None, description="null: it was never tried.")


class ChangedCell(Shape):
    """A cell that got worse or better."""

    cell: str
    why: str


class DrillFacts(Shape):
    """One drill."""

    id: str
    who: str
    began_at: AwareDatetime
    ended_at: AwareDatetime | None = Field(default=None, description="null: it has not ended.")
    is_running: bool
    score: int | None = Field(default=None, description="After it; null: it has not ended.")
    planned: int = Field(description="Scenarios that it was to try.")
    passed: int
    failed: int = Field(description="Tried to their end, and did not pass.")
    missed: int = Field(
        default=0,
        description="Of these: what nobody noticed, what was not mended, and what lost something.",
    )
    skipped: int
    why: str = Field(default="", description="Why it ended early.")
    worse: list[ChangedCell] = Field(default=[])
    better: list[ChangedCell] = Field(default=[])


class Drills(Shape):
    """The matrix with its score, and the last drills."""

    score: ProofScore
    cells: list[MatrixCell] = Field(description="Scenario by scenario.")
    drills: list[DrillFacts] = Field(description="Newest first.")


class Happened(Shape):
    """A line of a scenario's story."""

    at: AwareDatetime
    text: str


class ToldResult(Figures):
    """What a drill has found about one cell."""

    cell: str
    scenario: str
    target: str
    began_at: AwareDatetime | None = Field(default=None, description="null: nothing was broken.")
    timeline: list[Happened] = Field(default=[])


class ToldDrill(DrillFacts):
    """One drill with its scenarios."""

    results: list[ToldResult]
