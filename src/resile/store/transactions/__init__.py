"""Transactions over the files of a folder, written to a log before they are done."""

from resile.store.transactions.log import TransactionLog
from resile.store.transactions.model import (
    REMOVALS,
    BlobSink,
    Committed,
    Content,
    FileOperation,
    Noted,
    OperationKind,
    Recovered,
    Redo,
    Replayed,
    Savepoint,
    TransactionStatus,
)
from resile.store.transactions.transaction import FileTransaction

__all__ = [
    "REMOVALS",
    "BlobSink",
    "Committed",
    "Content",
    "FileOperation",
    "FileTransaction",
    "Noted",
    "OperationKind",
    "Recovered",
    "Redo",
    "Replayed",
    "Savepoint",
    "TransactionLog",
    "TransactionStatus",
]
