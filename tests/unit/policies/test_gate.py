"""A gate's permits and queue against a model that is a plain list."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resile.policies.gate import LEVELS, Gate, Standing, Ticket


def entered(gate: Gate, level: int = 5) -> Ticket:
    ticket = Ticket(level)
    gate.enter(ticket)
    return ticket


def test_who_finds_neither_permit_nor_place_is_rejected() -> None:
    gate = Gate(1, 1)

    standings = [entered(gate).standing for _ in range(3)]

    assert standings == [Standing.INSIDE, Standing.WAITING, Standing.REJECTED]


def test_a_permit_that_is_given_back_twice_counts_once() -> None:
    gate = Gate(2, 0)
    first, second = entered(gate), entered(gate)

    gate.leave(first)
    gate.leave(first)

    assert gate.in_flight == 1
    assert second.standing is Standing.INSIDE


def test_the_more_urgent_goes_first_and_then_the_first_come() -> None:
    gate = Gate(1, 10)
    holder = entered(gate)
    late, early, urgent = entered(gate, 7), entered(gate, 7), entered(gate, 0)
    order = []

    while True:
        admitted = gate.leave(holder)
        if not admitted:
            break
        (holder,) = admitted
        order.append(holder)

    assert order == [urgent, late, early]


def test_a_full_queue_turns_away_the_newest_of_the_least_urgent() -> None:
    gate = Gate(1, 2)
    entered(gate)
    kept, ousted = entered(gate, 9), entered(gate, 9)
    urgent = Ticket(3)

    assert gate.enter(urgent) is ousted
    assert (kept.standing, ousted.standing) == (Standing.WAITING, Standing.REJECTED)
    assert entered(gate, 9).standing is Standing.REJECTED


def test_a_smaller_limit_puts_nobody_out_and_a_larger_one_lets_in() -> None:
    gate = Gate(2, 2)
    first, second, third = (entered(gate) for _ in range(3))

    assert gate.resize(1) == []
    assert gate.leave(first) == []
    assert gate.leave(second) == [third]
    fourth = entered(gate)
    assert gate.resize(5) == [fourth]


class GateMachine(RuleBasedStateMachine):
    @initialize(limit=st.integers(1, 3), queue=st.integers(0, 4))
    def begin(self, limit: int, queue: int) -> None:
        self.gate, self.queue = Gate(limit, queue), queue
        self.limit = limit
        self.inside: list[Ticket] = []
        self.line: list[Ticket] = []
        self.gone: list[Ticket] = []

    def let_in(self) -> list[Ticket]:
        admitted = []
        while self.line and len(self.inside) < self.limit:
            first = min(self.line, key=lambda ticket: ticket.level)
            self.line.remove(first)
            self.inside.append(first)
            admitted.append(first)
        return admitted

    @rule(level=st.integers(0, LEVELS - 1))
    def enter(self, level: int) -> None:
        ticket, ousted = Ticket(level), None
        if len(self.inside) < self.limit and not self.line:
            self.inside.append(ticket)
        elif len(self.line) < self.queue:
            self.line.append(ticket)
        else:
            worst = max(self.line, key=lambda waiting: waiting.level, default=None)
            if worst is not None and worst.level > level:
                ousted = [waiting for waiting in self.line if waiting.level == worst.level][-1]
                self.line.remove(ousted)
                self.gone.append(ousted)
                self.line.append(ticket)
            else:
                self.gone.append(ticket)

        assert self.gate.enter(ticket) is ousted

    @rule(chance=st.randoms(use_true_random=False))
    def leave(self, chance: object) -> None:
        everybody = self.inside + self.line + self.gone
        if not everybody:
            return
        ticket = chance.choice(everybody)  # type: ignore[attr-defined]
        for place in (self.inside, self.line):
            if ticket in place:
                place.remove(ticket)
                self.gone.append(ticket)

        assert self.gate.leave(ticket) == self.let_in()

    @rule(limit=st.integers(1, 5))
    def resize(self, limit: int) -> None:
        self.limit = limit

        assert self.gate.resize(limit) == self.let_in()

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "inside"):
            return
        assert (self.gate.in_flight, self.gate.waiting) == (len(self.inside), len(self.line))
        assert all(ticket.standing is Standing.INSIDE for ticket in self.inside)
        assert all(ticket.standing is Standing.WAITING for ticket in self.line)


TestGate = GateMachine.TestCase
TestGate.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
