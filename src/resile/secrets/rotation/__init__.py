"""Rotation: journalled, resumed after a crash at any point, and the old credential dies last."""

from resile.secrets.rotation.book import Book
from resile.secrets.rotation.budget import Budget
from resile.secrets.rotation.engine import Rotations
from resile.secrets.rotation.model import (
    Reached,
    RotationReport,
    RotationSpec,
    RotationView,
    Targeted,
)

__all__ = [
    "Book",
    "Budget",
    "Reached",
    "RotationReport",
    "RotationSpec",
    "RotationView",
    "Rotations",
    "Targeted",
]
