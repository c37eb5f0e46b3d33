"""Playbooks: which remedy a fault gets, and of what steps it is made."""

from resile.recover.playbooks.choose import NOT_READY_PATIENCE_S, remedy_for
from resile.recover.playbooks.model import Remedy, Traits, traits_of
from resile.recover.playbooks.restart import backoff_s

__all__ = ["NOT_READY_PATIENCE_S", "Remedy", "Traits", "backoff_s", "remedy_for", "traits_of"]
