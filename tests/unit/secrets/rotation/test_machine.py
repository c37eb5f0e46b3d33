"""Rotations while processes die, targets fail, consumers fall silent, and people change their minds."""

from contextlib import ExitStack, suppress
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.lives import Life
from tests.support.memory import memory_folder
from tests.unit.secrets.rotation.kit import NAME, Kit

from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import OperationError, ResileError
from resile.secrets.rotation import Rotations
from resile.testing import Crash
from resile.testing.clock import START

LABELS = st.sampled_from(["a", "b", "c"])
FAR = START + timedelta(days=999)
METHODS = st.sampled_from(["prepare", "set", "verify", "retire", "abort"])
ERRORS = st.sampled_from([OperationError("no"), OperationError("not now", is_transient=True)])
DIES_AT = st.one_of(st.just(0), st.integers(1, 60))


class RotationMachine(RuleBasedStateMachine):
    """One secret of two users; any number of processes, one after the other, on one book."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.kit = Kit(self.stack.enter_context(memory_folder()))
        self.stack.callback(self.kit.close)
        self.looking = self.kit.book(999)
        self.pid = 0
        self.rotations: Rotations
        self.life: Life

    @initialize()
    def begin(self) -> None:
        self.kit.hold("a", "b")
        self.start()

    def start(self, dies_at: int = 0) -> None:
        """Start a process, after the death of the one before it."""
        self.kit.dead.add(self.pid)
        self.pid += 1
        self.life = Life(dies_at)
        self.rotations = self.kit.living(self.life, self.pid)
        self.rotations.close()  # It waits for nobody: time passes by a rule.

    def do(self, work: str, *args: object, **kwargs: object) -> None:
        """Let the process do something, in which it may die or fail."""
        try:
            with suppress(ResileError):
                getattr(self.rotations, work)(*args, **kwargs)
        except Crash:
            self.start()

    @rule(reason=st.sampled_from(RotationReason))
    def rotate(self, reason: RotationReason) -> None:
        self.do("rotate", NAME, reason=reason, who="ann", deadline_s=3.0)

    @rule()
    def roll_back(self) -> None:
        self.do("rollback", NAME, who="ann")

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 70.0]))
    def pass_time(self, seconds: float) -> None:
        self.kit.clock.advance(seconds)
        self.do("step_due", self.kit.clock.now())

    @rule(dies_at=DIES_AT)
    def restart(self, dies_at: int) -> None:
        self.start(dies_at)
        self.do("resume")

    @rule(label=LABELS)
    def silence(self, label: str) -> None:
        self.kit.consumers.silent.add(label)

    @rule(label=LABELS)
    def speak(self, label: str) -> None:
        if label in self.kit.consumers.versions(NAME):
            self.kit.speak(label)

    @rule(label=LABELS)
    def leave(self, label: str) -> None:
        self.kit.consumers.remove(label, NAME)
        self.kit.consumers.values.pop(label, None)

    @rule(label=LABELS)
    @precondition(lambda self: not self.kit.provider.is_away)
    def join(self, label: str) -> None:
        if label not in self.kit.consumers.versions(NAME):
            self.kit.hold(label)

    @rule(is_down=st.booleans())
    def change_target(self, *, is_down: bool) -> None:
        self.kit.target.is_down = is_down

    @rule(method=METHODS, error=ERRORS)
    def fail(self, method: str, error: Exception) -> None:
        self.kit.rotator.fail(method, error)

    @rule()
    def boot(self) -> None:
        """Start the machine anew: nobody is left of before, and its clocks mean something else."""
        self.kit.boots += 1
        self.kit.clock.advance(5.0)
        self.start()

    @rule(is_away=st.booleans())
    def change_provider(self, *, is_away: bool) -> None:
        self.kit.provider.is_away = is_away

    @invariant()
    def nobody_fails(self) -> None:
        """See what opens the target, and who uses what, behind the backs of all."""
        was_away, self.kit.provider.is_away = self.kit.provider.is_away, False
        was_down, self.kit.target.is_down = self.kit.target.is_down, False
        try:
            stages = self.kit.stages()
            assert stages.count(SecretStage.CURRENT) == 1
            assert stages.count(SecretStage.PENDING) <= 1
            assert self.kit.works()
            assert len(self.kit.target.passwords) <= 2
            for label, secret in self.kit.consumers.values.items():
                assert self.kit.target.opens(secret) or label in self.cut(), label
        finally:
            self.kit.provider.is_away, self.kit.target.is_down = was_away, was_down

    def cut(self) -> set[str]:
        """Give all that a compromise has cut off, and that were told so."""
        records = (*self.looking.ended(1000), *self.looking.open_ones())
        return {label for record in records for label in record.cut}

    def teardown(self) -> None:
        """All is well again, and everything that was begun comes to its end."""
        with self.stack:
            if self.pid:
                self.settle()

    def settle(self) -> None:
        self.kit.target.is_down = self.kit.provider.is_away = False
        self.kit.rotator.failures.clear()
        for label in self.kit.consumers.versions(NAME):
            self.kit.speak(label)
        self.start()
        for _ in range(400):
            self.kit.clock.advance(30.0)
            self.do("step_due", self.kit.clock.now())
            if not self.looking.open_ones() and not self.looking.agenda.owed(FAR):
                break
        assert self.looking.open_ones() == ()
        self.nobody_fails()
        # A target that was down when a candidate was taken back may know it still; the next rotation
        # of it, which is here, makes it forget.
        self.do("rotate", NAME, reason=RotationReason.MANUAL, who="ann")
        assert self.looking.open_ones() == ()
        assert len(self.kit.target.passwords) == 1
        assert self.kit.stages().count(SecretStage.PENDING) == 0
        for label, secret in self.kit.consumers.values.items():
            assert self.kit.target.opens(secret), label


TestRotationMachine = RotationMachine.TestCase
TestRotationMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
