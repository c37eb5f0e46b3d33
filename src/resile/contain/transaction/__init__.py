"""A transaction over folders: what is changed in them is committed whole, or never happened.

Its modules are loaded when a name of theirs is first used: most transactions change nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.contain.transaction.differing import ChangeText, describe_change, diff_text
    from resile.contain.transaction.lifecycle import (
        Transaction,
        begin,
        measure,
        open_transaction,
        prepare,
        state_of,
    )
    from resile.contain.transaction.managed import sweep, transaction
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

__all__ = [
    "ChangeText",
    "CommitResult",
    "Recovered",
    "Recovery",
    "Skipped",
    "Staging",
    "Transaction",
    "TransactionState",
    "Written",
    "begin",
    "describe_change",
    "diff_text",
    "measure",
    "open_transaction",
    "prepare",
    "recover",
    "state_of",
    "sweep",
    "transaction",
]


def __getattr__(name: str) -> object:
    from resile.contain.transaction._homes import HOMES
    from resile.core.lazy import load

    return load(__name__, name, HOMES)
