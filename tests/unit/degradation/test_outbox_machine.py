"""The outbox held to lists, over any order of what two users of one file do."""

import tempfile

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resile.degradation import Message, Outbox, OutboxLimits
from resile.errors import OutboxFullError
from resile.testing import FakeClock


class OutboxMachine(RuleBasedStateMachine):
    """Two processes' worth of one outbox, against lists."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.limits = OutboxLimits(
            count_max=6, attempts=2, initial=1, max=2, lease=10, dead_max=2, remembered_max=1000
        )
        self.boxes = [
            Outbox(f"{self.folder.name}/o", self.limits, clock=self.clock) for _ in range(2)
        ]
        self.waiting: list[tuple[str, str]] = []
        self.put_ids: set[str] = set()
        self.sent: list[str] = []
        self.number = 0

    @rule(
        box=strategies.integers(0, 1),
        key=strategies.sampled_from("ab"),
        again=strategies.booleans(),
    )
    def put(self, box: int, key: str, again: bool) -> None:
        self.number += not again
        name = f"{self.number}"
        try:
            receipt = self.boxes[box].put(name, id=name, key=key)
        except OutboxFullError:
            assert len(self.waiting) == self.limits.count_max
            return
        assert receipt.is_new == (name not in self.put_ids)
        if receipt.is_new:
            self.put_ids.add(name)
            self.waiting.append((name, key))

    @rule(box=strategies.integers(0, 1), fails=strategies.sets(strategies.sampled_from("ab")))
    def drain(self, box: int, fails: set[str]) -> None:
        def send(message: Message) -> None:
            head = next(name for name, key in self.waiting if key == message.key)
            assert message.id == head
            if message.key in fails:
                raise OSError("no")
            self.waiting.remove((message.id, message.key))
            self.sent.append(message.id)

        self.boxes[box].drain(send)
        dead = {letter.message.id for letter in self.boxes[box].dead()}
        gone = {name for name, _ in self.waiting} - self.ids_waiting()
        assert dead >= gone or len(dead) == self.limits.dead_max
        self.waiting = [one for one in self.waiting if one[0] not in gone]

    @rule(seconds=strategies.sampled_from((0.5, 3.0, 20.0)))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(box=strategies.integers(0, 1))
    def die_while_sending(self, box: int) -> None:
        self.boxes[box]._table.exchange(None, is_more=True)
        dead = {name for name, _ in self.waiting} - self.ids_waiting()
        self.waiting = [one for one in self.waiting if one[0] not in dead]

    def ids_waiting(self) -> set[str]:
        with self.boxes[0]._table._transaction() as sql:
            return {row[0] for row in sql.execute("select id from message where is_dead = 0")}

    @invariant()
    def nothing_is_lost_and_nothing_sent_twice(self) -> None:
        assert self.ids_waiting() == {name for name, _ in self.waiting}
        assert len(set(self.sent)) == len(self.sent)
        counts = self.boxes[1].counts()
        assert counts.waiting == len(self.waiting)
        assert counts.dead <= self.limits.dead_max
        assert counts.size == sum(len(name) + 2 for name, _ in self.waiting)

    def teardown(self) -> None:
        for box in self.boxes:
            box.close()
        self.folder.cleanup()


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
