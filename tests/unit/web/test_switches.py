"""What is switched off is told by the API and the plain page, and set only over the daemon's own socket."""

from typing import Any

import pytest
from tests.unit.web import scenes, switch_scenes
from tests.unit.web.client import ask

from resile.web import create_app, create_control_app

OFF = {"parts": ["scrub"], "is_on": False, "for_s": 60, "why": "tests", "who": "ann"}
STOP = {"is_stopping_services": True, "why": "an intruder", "who": "ann"}


@pytest.mark.parametrize("path", ["/api/switches", "/api/emergency-stop"])
def test_nobody_switches_over_tcp(path: str) -> None:
    answer = ask(create_app(scenes.all_up(), token="t" * 32), path, method="POST", json=OFF)

    assert answer.status_code in (404, 405)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"why": " "}, 409),
        ({"parts": ["snapshot"]}, 409),
        ({"for_s": 0}, 409),
        ({"for_s": 31 * 86_400}, 409),
        ({"for_s": None}, 409),
        ({"parts": []}, 422),
        ({"parts": ["scrub"] * 51}, 422),
        ({"extra": 1}, 422),
    ],
)
def test_wrong_wish_is_refused(changes: dict[str, Any], status: int) -> None:
    view = scenes.all_up()

    answer = ask(create_control_app(view), "/api/switches", method="POST", json={**OFF, **changes})

    assert answer.status_code == status
    assert view.switches.switches.offs == ()


def test_parts_are_switched_off_and_on() -> None:
    app = create_control_app(scenes.all_up())

    off = ask(app, "/api/switches", method="POST", json=OFF).json()
    (only,) = off["switches"]
    assert (only["word"], only["who"], only["why"]) == ("scrub", "ann", "tests")
    assert ask(app, "/api/switches").json() == off
    status = ask(app, "/api/status").json()
    assert (status["switches"], status["emergency"]) == (off["switches"], None)

    on = ask(app, "/api/switches", method="POST", json={**OFF, "is_on": True, "why": ""}).json()
    assert on["switches"] == []


def test_emergency_stop_is_begun_with_a_reason_only() -> None:
    app = create_control_app(scenes.all_up())

    assert (
        ask(app, "/api/emergency-stop", method="POST", json={**STOP, "why": ""}).status_code == 422
    )
    begun = ask(app, "/api/emergency-stop", method="POST", json=STOP)

    assert begun.status_code == 202
    stop = begun.json()["emergency"]
    assert (stop["is_stopping_services"], stop["is_carried_out"]) == (True, False)


def test_plain_page_tells_it_and_shows_markup_as_text() -> None:
    text = ask(create_app(switch_scenes.hostile()), "/status").text

    assert "EMERGENCY STOP by ann: an intruder in the build" in text
    assert switch_scenes.WHY in text
    assert "<img" not in text
    assert "Switched off" not in ask(create_app(scenes.all_up()), "/status").text
