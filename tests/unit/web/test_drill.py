"""Drills over HTTP."""

import pytest
from tests.unit.web import drill_scenes
from tests.unit.web.client import ask

from resile.errors import JournalError
from resile.testing.view import FakeSystemView
from resile.web import create_app, drill_models


@pytest.mark.parametrize("scene", ["proven", "in_trouble", "running", "untried", "hostile"])
def test_answers_have_the_shapes_that_are_promised(scene: str) -> None:
    view: FakeSystemView = getattr(drill_scenes, scene)()
    app = create_app(view)

    found = drill_models.Drills.model_validate(ask(app, "/api/drill").json())

    assert len(found.cells) == len(view.drill.cells)
    for drill in found.drills:
        told = ask(app, f"/api/drill/{drill.id}")
        assert drill_models.ToldDrill.model_validate(told.json()).id == drill.id


def test_drill_that_is_not_known_is_not_found() -> None:
    answer = ask(create_app(drill_scenes.proven()), "/api/drill/drl_nine")

    assert answer.status_code == 404
    assert "drl_nine" in answer.json()["error"]


def test_journal_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    view = drill_scenes.proven()

    async def fail() -> None:
        raise JournalError("the disk is gone", hint="look at it")

    monkeypatch.setattr(view.drill, "overview", fail)

    answer = ask(create_app(view), "/api/drill")

    assert answer.status_code == 503
    assert answer.json() == {"error": "the disk is gone", "hint": "look at it"}


def test_nobody_begins_a_drill_over_http() -> None:
    assert ask(create_app(drill_scenes.proven()), "/api/drill", "POST").status_code == 405
