"""How each event changes the state: one short function for each payload.

Nothing here decides; what an event means is folded even if no decision of ours asked for it,
because the journal is the truth.
"""

from resile.recover.fold.entry import fold
from resile.recover.fold.troubles import take_up

__all__ = ["fold", "take_up"]
