"""Where the names are that `resile.contain.transaction` loads when they are first used."""

from typing import Final

HOMES: Final = {
    "differing": (
        "ChangeText",
        "describe_change",
        "diff_text",
    ),
    "lifecycle": (
        "Transaction",
        "begin",
        "measure",
        "open_transaction",
        "prepare",
        "state_of",
    ),
    "managed": (
        "sweep",
        "transaction",
    ),
    "model": (
        "CommitResult",
        "Recovered",
        "Recovery",
        "Skipped",
        "Staging",
        "TransactionState",
        "Written",
    ),
    "recovering": ("recover",),
}
