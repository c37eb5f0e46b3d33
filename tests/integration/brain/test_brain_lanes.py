"""A brain hears of guards in any process, tells of them, and steers them."""

import asyncio
import os
from pathlib import Path
from typing import Any

from tests.support.braining import living, wait_until
from tests.support.laning import Stranger, reading

from resile.cli.api import Api
from resile.cli.places import Places
from resile.clients import wire
from resile.web import policy_models

CHANGE = {"guard": "db", "kind": "opened", "at_s": 1.9e9, "detail": {"why": "x", "left_s": 30.0}}

WISH = {"guard": "db", "order": "trip", "for_s": 60, "why": "y", "who": "ann"}


def test_a_process_is_heard_with_its_service_and_steered(tmp_path: Path) -> None:
    """The puppet's services are this very process, so what it says is what the service says."""

    async def scenario() -> None:
        async with living(tmp_path, '[service.a]\ncommand = ["true"]\n') as life:
            await wait_until("the start", lambda: life.recorded("process.started"))
            process = await asyncio.to_thread(connected, tmp_path / ".resile")
            await wait_until("it is told", lambda: life.recorded("policy.opened"))
            (opened,) = life.recorded("policy.opened")
            assert (opened.body["service"], opened.body["pid"]) == ("a", os.getpid())

            api = Api(Places(config=tmp_path / "resile.toml", state=tmp_path / ".resile"))
            found = await asyncio.to_thread(api.get, "/api/policies")
            assert not policy_models.Policies.model_validate(found).model_extra
            assert [row["guard"] for row in found["policies"]] == ["db"]

            obeying = asyncio.create_task(asyncio.to_thread(obey, process))
            done = await asyncio.to_thread(api.post, "/api/policies/orders", WISH)
            assert not policy_models.Obeyed.model_validate(done).model_extra
            told = await obeying
            assert (told["order"], told["why"]) == ("trip", "y")
            assert 59 < told["for_s"] <= 60
            assert (done["done"], done["silent"]) == (1, 0)
            await wait_until("it is told", lambda: life.recorded("policy.obeyed"))
            text = life.brain._view.metrics()
            assert 'resile_policies_open_count{guard="db"} 1' in text
            assert 'resile_policies_calls_total{guard="db"} 3' in text
            process.close()

    asyncio.run(scenario())


def connected(state: Path) -> Stranger:
    process = Stranger(state / "run" / wire.SOCKET_NAME).hello("app.py")
    process.say({"publish": "policies", "value": [reading("db", state="open", left_s=30.0)]})
    process.say({"send": "signals", "values": [CHANGE]})
    return process


def obey(process: Stranger) -> Any:
    told = process.hear()
    assert told is not None
    process.say({"done": told["order"], "error": ""})
    return told["value"]
