"""Transactions over the files of a folder, written to a log before they are done."""

from resile.store.transactions.log import TransactionLog
from resile.store.transactions.model import (
    BlobSink,
    FileOperation,
    OperationKind,
    Recovered,
    Redo,
    Replayed,
    Savepoint,
    TransactionStatus,
)
from resile.store.transactions.transaction import FileTransaction

__all__ = [
    "BlobSink",
    "FileOperation",
    "FileTransaction",
    "OperationKind",
    "Recovered",
    "Redo",
    "Replayed",
    "Savepoint",
    "TransactionLog",
    "TransactionStatus",
]
