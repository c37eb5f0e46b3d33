"""The coordinated plan over HTTP, and that the pretended one has the shape of the real one."""

from tests.unit.web import recovery_scenes
from tests.unit.web.client import ask

from resile.web import create_app
from resile.web.recovery_models import Recovery


def test_the_plan_is_given_in_its_order() -> None:
    view = recovery_scenes.several()

    answer = ask(create_app(view), "/api/recovery")

    told = Recovery.model_validate(answer.json())
    assert answer.status_code == 200
    assert [one.target for one in told.faults] == [
        "service/database",
        "service/shop",
        "service/reports",
    ]
    assert told.unknown == 1
    assert told.expected is None
