"""The public names as a user's code sees them; mypy --strict reads this, nothing runs it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import assert_type

import resile
from resile.core.config import Config, load_config
from resile.core.events import Event, OperatorRequested, announce
from resile.core.journal import Query, Record, open_journal
from resile.core.vocabulary import Verb
from resile.testing import MemoryJournal

assert_type(resile.__version__, str)
assert_type(resile.ConfigError("x").hint, str)
assert_type(load_config(Path("resile.toml"), environ={}), Config)

event = announce(OperatorRequested(verb=Verb.STOP), at=datetime.now(UTC), actor="me")
assert_type(event, Event)

journal = open_journal(Path("journal"))
assert_type(journal.append(event), tuple[Record, ...])
assert_type(journal.read(Query(kinds=("operator.*",))), tuple[Record, ...])
assert_type(MemoryJournal().append(event), tuple[Record, ...])
