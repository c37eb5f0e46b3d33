"""Breakers and limits that several processes share. Never on the way of a call."""

from resile.clients.sharing.decide import Action, Agreed, Do, arbitrated, reconciled
from resile.clients.sharing.model import Claim, Held, Record
from resile.clients.sharing.places import share, shared_names, shared_with
from resile.clients.sharing.rates import RateBook, shares
from resile.clients.sharing.wording import claim_from, record_from

__all__ = [
    "Action",
    "Agreed",
    "Claim",
    "Do",
    "Held",
    "RateBook",
    "Record",
    "arbitrated",
    "claim_from",
    "reconciled",
    "record_from",
    "share",
    "shared_names",
    "shared_with",
    "shares",
]
