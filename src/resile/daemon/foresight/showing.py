"""Scores and predictions as the API, the command and the page show them: plain JSON data. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from resile.core.codec import encode
from resile.health.prediction import Forecast
from resile.health.score import Score

DEDUCTIONS_MAX = 20
"""The most that is shown of one score: the first ones tell why."""


def score_view(score: Score, change: float | None) -> dict[str, Any]:
    """Show a score.

    Args:
        score: The score.
        change: The last hour against the one before, in points; None if it is not known.
    """
    return {
        "score": round(score.value),
        "grade": score.grade.value,
        "change": None if change is None else round(change, 1),
        "dimensions": {one.value: round(100 * mark) for one, mark in score.dimensions.items()},
        "deductions": [
            {"points": round(one.points, 1), "what": one.what, "why": one.why}
            for one in score.deductions[:DEDUCTIONS_MAX]
        ],
    }


def prediction_views(forecasts: Iterable[Forecast]) -> Sequence[dict[str, Any]]:
    """Show what is expected to run out, without what muted predictors expect."""
    return [
        {
            "id": one.prediction_id,
            "resource": one.resource.value,
            "target": one.target,
            "detail": one.detail,
            "predictor": one.predictor,
            "made_at": encode(one.made_at),
            "left_s": round(one.left_s, 1),
            "confidence": round(one.confidence, 3),
            "used": one.used,
            "limit": one.limit,
            "slope_per_s": one.slope_per_s,
        }
        for one in forecasts
        if not one.is_muted
    ]
