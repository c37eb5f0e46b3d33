"""Shares over the daemon: breakers and limits of the processes of one machine."""

from collections.abc import Callable
from typing import Any

from resile.clients import wire
from resile.clients.lane import Lane
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.rates import RateBook
from resile.clients.sharing.wording import record_from
from resile.core.clock import SYSTEM_CLOCK, Clock

BREAKERS, RATES = "shared", "rates"
"""The topics of what is shared."""
RATES_EVERY_S = 1.0


class LaneSharing:
    """Shares over a lane. Its work is done in the lane's thread.

    Args:
        lane: To the daemon.
        agreement: Of which breakers.
        rates: Of which limits.
        is_chosen: Tells whether this is where the process shares: it may have named a database.
        clock: Paces what is said of limits.
    """

    name = "on this machine"

    def __init__(
        self,
        lane: Lane,
        agreement: Agreement,
        rates: RateBook,
        *,
        is_chosen: Callable[["LaneSharing"], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._lane = lane
        self._agreement = agreement
        self._rates = rates
        self._is_chosen = is_chosen
        self._clock = clock
        self._connection = 0
        self._names: list[str] = []
        self._demands: dict[str, float] = {}
        self._demands_at_s = 0.0

    @property
    def trouble(self) -> str:
        """Tell why the daemon cannot be reached; empty if it can."""
        return self._lane.trouble

    def start(self) -> None:
        """Begin to look at what is to be shared."""
        self._lane.on(BREAKERS, self._hear_record)
        self._lane.on(RATES, self._hear_share)
        self._lane.work(self._look)

    def _look(self) -> None:
        if not self._is_chosen(self):
            return
        self._meet()
        names = self._agreement.names()
        if names != self._names:
            self._names = names
            self._lane.publish(BREAKERS, names)
        self._look_at_rates()
        if not self._lane.trouble:
            for claim in self._agreement.step():
                self._lane.send(BREAKERS, claim._asdict())

    def _look_at_rates(self) -> None:
        now_s = self._clock.monotonic()
        if now_s < self._demands_at_s:
            return
        self._demands_at_s = now_s + RATES_EVERY_S
        demands = self._rates.demands()
        if demands != self._demands:
            self._demands = demands
            self._lane.publish(RATES, demands)

    def _meet(self) -> None:
        """Forget what an earlier daemon said of breakers; parts of limits stay as they were."""
        if self._lane.connections != self._connection:
            self._connection = self._lane.connections
            self._agreement.forget()

    def _hear_record(self, value: Any) -> None:
        self._meet()
        self._agreement.hear(record_from(value))
        self._look()

    def _hear_share(self, value: Any) -> None:
        if isinstance(value, dict) and self._is_chosen(self):
            self._rates.hear(wire.text_of(value.get("name")), wire.number_of(value.get("share")))
