"""The shape of a fold: for each kind of payload, the function that changes the state."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from resile.core.events import Payload
from resile.recover.store import Store

Folds = Mapping[type[Payload], Callable[[Store, Any, datetime], None]]
"""Each function gets a payload of exactly the type that it stands under."""
