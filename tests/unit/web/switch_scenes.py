"""What a person switched off, to look at: some parts, an emergency stop, and hostile texts."""

from datetime import timedelta

from tests.unit.web import scenes

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import EmergencyBegun, EmergencyCarriedOut, SwitchSet
from resile.core.vocabulary import Part
from resile.testing.view import FakeSystemView

HOUR = timedelta(hours=1)
WHY = "the disk is slow while the array is rebuilt"


def some_off(view: FakeSystemView | None = None) -> FakeSystemView:
    view = view or scenes.all_up()
    view.switches.clock = SYSTEM_CLOCK
    put(view, Part.SNAPSHOTS, WHY)
    put(view, Part.PLAYBOOK, "it restarts the wrong one", name="restart_before_exhaustion")
    return view


def emergency(*, problems: tuple[str, ...] = ("run_01 does not die",)) -> FakeSystemView:
    view = some_off()
    now = SYSTEM_CLOCK.now()
    begun = EmergencyBegun(is_stopping_services=False, why="an intruder in the build", who="ann")
    done = EmergencyCarriedOut(killed=3, undone=1, problems=problems)
    view.switches.switches = view.switches.switches.apply(begun, now).apply(done, now)
    return view


def hostile() -> FakeSystemView:
    view = emergency(problems=(scenes.HOSTILE, "y" * 300))
    put(view, Part.SCRUB, scenes.HOSTILE + "x" * 300, name="")
    put(view, Part.PLAYBOOK, "\u202egone\x1b[2J", name="a\u202eb")
    return view


def put(view: FakeSystemView, part: Part, why: str, *, name: str = "") -> None:
    now = view.switches.clock.now()
    off = SwitchSet(part=part, name=name, is_on=False, until=now + HOUR, why=why, who="ann")
    view.switches.switches = view.switches.switches.apply(off, now)
