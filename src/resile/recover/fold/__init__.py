"""How each event changes the state: one short function for each payload.

Nothing here decides; what an event means is folded even if no decision of ours asked for it,
because the journal is the truth.
"""

from resile.recover.fold.entry import fold

__all__ = ["fold"]
