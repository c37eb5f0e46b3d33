"""Playbooks: which remedy a fault gets, and of what steps it is made."""

from resile.recover.matching import misfit
from resile.recover.playbooks.choose import candidates, hindrances, why_used
from resile.recover.playbooks.contradict import Contradiction, contradictions
from resile.recover.playbooks.model import Hindrance, Remedy
from resile.recover.playbooks.reading import playbooks_of, shipped
from resile.recover.playbooks.restart import backoff_s
from resile.recover.playbooks.steps import remedy_of

__all__ = [
    "Contradiction",
    "Hindrance",
    "Remedy",
    "backoff_s",
    "candidates",
    "contradictions",
    "hindrances",
    "misfit",
    "playbooks_of",
    "remedy_of",
    "shipped",
    "why_used",
]
