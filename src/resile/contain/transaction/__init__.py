"""A transaction over folders: what is changed in them is committed whole, or never happened."""

from resile.contain.transaction.model import (
    CommitResult,
    Recovered,
    Recovery,
    Skipped,
    Staging,
    TransactionState,
    Written,
)
from resile.contain.transaction.recovering import recover
from resile.contain.transaction.transaction import (
    Transaction,
    begin,
    measure,
    open_transaction,
    state_of,
)

__all__ = [
    "CommitResult",
    "Recovered",
    "Recovery",
    "Skipped",
    "Staging",
    "Transaction",
    "TransactionState",
    "Written",
    "begin",
    "measure",
    "open_transaction",
    "recover",
    "state_of",
]
