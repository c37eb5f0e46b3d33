"""What recovery leaves undone because a person switched it off. Pure.

Faults are noticed and told all the same, and whoever is called hears that nothing will be done.
"""

from collections.abc import Iterator
from datetime import datetime

from resile.core.switches import Off
from resile.core.vocabulary import Part
from resile.recover.findings import Finding
from resile.recover.world import World


def ends(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the end of every switch whose time is over."""
    for off in world.switches.active(now):
        if off.until is not None:
            yield off.until
    yield from world.switches.over(now)


def frozen(world: World, now: datetime) -> Off | None:
    """Give what switches all remedies off; None if they are on."""
    return world.switches.find(Part.RECOVERY, now=now)


def off_for(world: World, playbook: str, now: datetime) -> Off | None:
    """Give what keeps a playbook from being used; None if nothing does."""
    return frozen(world, now) or world.switches.find(Part.PLAYBOOK, playbook, now=now)
