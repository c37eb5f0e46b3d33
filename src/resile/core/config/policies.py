"""Whether `[policy.NAME]` is right, as the policies themselves see it.

They stand above core, which must not import them, and they are the one place that knows their
options. So the module that reads this table in a user's process is found by its name.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, cast

from resile.core.config.faults import Fault

_HOME: Final = "resile.policies.sections"


def policy_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Find every fault in the tables of guards. What fits to the code only the code can tell."""
    tables = data.get("policy", {})
    if not tables or not isinstance(tables, Mapping):
        return
    problems_of = cast(
        "Callable[[object], list[tuple[str, str]]]", import_module(_HOME).section_problems
    )
    for name, table in tables.items():
        for place, message in problems_of(table):
            keys = place.removeprefix(".").split(".") if place else []
            yield Fault(path=("policy", name, *keys), message=message)
