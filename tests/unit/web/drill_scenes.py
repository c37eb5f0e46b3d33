"""Drills to look at: all proven, trouble, one that goes on, none, and hostile ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.web import scenes

from resile.testing.view import FakeSystemView

SERVICES = scenes.NAMES
EACH = ("crash", "segv", "hang", "crash_loop", "cpu", "dependency_down")
FOLDER = "/srv/example/knowledge"
OTHERS = (
    *(f"disk_full:{FOLDER}", "corruption:/srv/example/.resile/store/packs"),
    *("rotation:secret/db/password", "brain_killed:brain"),
    *("run_time:run", "run_memory:run", "run_escape:run"),
)
TEXTS = {"crash": "the main process is killed", "hang": "every process of the service stands still"}
LAST = "drl_2"


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def proven() -> FakeSystemView:
    """Everything passed an hour ago."""
    view = scenes.all_up()
    names = [*(f"{each}:service/{name}" for each in EACH for name in SERVICES), *OTHERS]
    for number, name in enumerate(names):
        view.drill.put(
            name,
            "passed",
            at=ago(minutes=60 + number % 7),
            drill_id=LAST,
            detected_s=0.05 + 0.02 * (number % 9),
            recovered_s=0.8 + 0.05 * (number % 17),
            acked=240,
            lost=0,
            failed=number % 3,
        )["text"] = TEXTS.get(name.partition(":")[0], "")
    view.drill.put_drill("drl_1", began_at=ago(days=8, minutes=4), ended_at=ago(days=8), score=87)
    view.drill.put_drill(LAST, began_at=ago(minutes=69), ended_at=ago(minutes=60))
    view.drill.results[LAST] = [_told(cell) for cell in view.drill.cells]
    return view


def in_trouble() -> FakeSystemView:
    """Something was lost, something is slow, something was skipped, some proofs fade."""
    view = proven()
    cells = {cell["cell"]: cell for cell in view.drill.cells}
    _fail(cells["dependency_down:service/scanner"], "lost", lost=2, why="2 writes were gone")
    _fail(
        cells["hang:service/reasoner"],
        "slow",
        recovered_s=14.2,
        recovery_s_max=10.0,
        why="well after 14s, 10s allowed",
    )
    _fail(cells["cpu:service/policy"], "not_mended", recovered_s=None, why="no playbook matched")
    why = "the folder is on the root file system; it has to be on a small one of its own"
    _fail(cells[f"disk_full:{FOLDER}"], "skipped", detected_s=None, recovered_s=None, why=why)
    for name in SERVICES:
        cells[f"segv:service/{name}"] |= {"worth": 0.31, "passed_at": ago(days=52)}
    cells["rotation:secret/db/password"] |= {"worth": 0.0, "passed_at": None, "last": None}
    cells["crash_loop:service/archive"] |= {"worth": 0.0, "passed_at": ago(days=120)}
    view.drill.score |= {"points": 71, "proven": 31}
    drill = view.drill.drills[0]
    drill |= {"score": 71, "passed": 31, "failed": 3, "missed": 2, "skipped": 1}
    drill["worse"] = [
        {"cell": "dependency_down:service/scanner", "why": "passed, now lost"},
        {"cell": "hang:service/reasoner", "why": "passed, now slow"},
    ]
    drill["better"] = [{"cell": "crash:service/archive", "why": "slow, now passed"}]
    view.drill.results[LAST] = [_told(cell) for cell in view.drill.cells if cell["last"]]
    return view


def running() -> FakeSystemView:
    """A third of a drill is done."""
    view = proven()
    view.drill.put_drill(
        "drl_3",
        began_at=ago(seconds=44),
        ended_at=None,
        is_running=True,
        score=None,
        passed=12,
        skipped=0,
    )
    return view


def untried() -> FakeSystemView:
    """Everything is declared, and nothing was tried."""
    view = scenes.all_up()
    for name in SERVICES:
        view.drill.put(f"crash:service/{name}")
    return view


def hostile() -> FakeSystemView:
    """Markup, turned text and long words wherever text comes from outside."""
    view = in_trouble()
    text = scenes.HOSTILE + scenes.TURNED
    long = f"{text}{'x' * 200}"
    cell = view.drill.put(f"{text}:{long}", "not_mended", why=long, drill_id=LAST)
    cell["text"] = long
    told = _told(cell)
    told["timeline"][0]["text"] = long
    view.drill.results[LAST].append(told)
    drill = view.drill.drills[0]
    drill |= {"who": long, "why": long}
    drill["worse"].append({"cell": cell["cell"], "why": long})
    return view


def _fail(cell: dict[str, Any], verdict: str, **facts: Any) -> None:
    cell["last"] |= {"verdict": verdict, **facts}
    cell["worth"] = 0.0


def _told(cell: dict[str, Any]) -> dict[str, Any]:
    last = cell["last"]
    began_at = last["at"] - timedelta(seconds=9)
    lines = [
        (0.0, f"drill injects {last['fault']} into {cell['target']} on purpose, for 30s at most"),
        (0.06, f"{cell['target']} (pid 4319) ended: killed by SIGKILL after 3m"),
        (0.07, f"fault crash on {cell['target']}"),
        (0.94, f"{cell['target']} is ready after 870ms"),
    ]
    timeline = [{"at": began_at + timedelta(seconds=s), "text": text} for s, text in lines]
    figures = {name: value for name, value in last.items() if name not in ("at", "drill_id")}
    place = {name: cell[name] for name in ("cell", "scenario", "target")}
    return {**place, **figures, "began_at": began_at, "timeline": timeline}
