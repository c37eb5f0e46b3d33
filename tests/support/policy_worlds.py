"""What the worlds of policies share: a backend that fails in every way."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.support.policy_models import GOOD

from resile.policies import Guard
from resile.testing import Simulation

World = Callable[[Simulation], object]


class Explosion(BaseException):
    """What no policy may catch, such as KeyboardInterrupt."""


class Outage:
    """A backend that is down now and then; and a wall clock that somebody sets.

    Args:
        sim: Has the dice.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.is_down = self.is_over = False

    def strike(self, call: int) -> str:
        """Tell what a call comes to, or raise it."""
        dice = self.sim.random.random()
        if self.is_over:
            return GOOD
        if dice < 0.08:
            raise Explosion
        if dice < 0.16:
            raise KeyError(call)
        if self.is_down != (dice < 0.3):
            raise ConnectionError("down")
        return GOOD

    async def go_on(self) -> None:
        while True:
            self.is_down = not self.is_down
            if self.sim.random.random() < 0.2:
                self.sim.jump(self.sim.random.uniform(-86_400, 86_400))
            await asyncio.sleep(self.sim.random.choice((0.2, 1, 5)))


def layer_of(guard: Guard, kind: type[Any]) -> Any:
    return next(layer for layer in guard.layers if isinstance(layer, kind))


def check_empty(layer: Any) -> None:
    """Hold a bulkhead, or an adaptive limit, to have nobody left."""
    assert layer.admission.in_flight == 0, "a permit was not given back"
    assert layer.admission.waiting == 0, "somebody is still in the queue"
