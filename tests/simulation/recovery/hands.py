"""What the brain asks of the guard, and what comes of it: effects outlive the brain, their records do not."""

from collections.abc import Callable
from typing import Any

from resile.core.events import ActionFinished, ActionStarted, Payload, ProcessStarted
from resile.core.vocabulary import ActionKind
from resile.recover import InFlight

Action = ActionStarted | InFlight
STOPS = (ActionKind.STOP, ActionKind.KILL)


class Hands:
    """Performs actions as `daemon/actions.py` does.

    Args:
        life: Whose they are.
    """

    def __init__(self, life: Any) -> None:
        self._life = life
        self._over_ms: dict[str, int] = {}
        """When the command of an action is over that was begun last."""

    def perform(self, action: Action, *, is_resumed: bool = False) -> None:
        """Begin an action; its outcome is told later, if this brain still lives then."""
        if action.action is ActionKind.START:
            delay_ms = self._life.machine.programs[_name(action)].start_ms
            self._effect(action, delay_ms, lambda: self._start(action))
        elif action.action in STOPS:
            delay_ms = self._life.machine.programs[_name(action)].stop_ms
            delay_ms = 0 if action.action is ActionKind.KILL else delay_ms
            self._effect(action, delay_ms, lambda: self._end(action))
        elif action.action is ActionKind.PRUNE:
            self._effect(action, 100, lambda: self._prune(action))
        elif action.action is ActionKind.RUN:
            self._run(action, is_resumed=is_resumed)
        else:
            self._effect(action, 100, lambda: ("", ()))

    def _effect(
        self, action: Action, delay_ms: float, act: Callable[[], tuple[str, tuple[Payload, ...]]]
    ) -> None:
        """Let the guard act, and the brain that asked for it record what came of it."""
        life = self._life
        brain, guard = life.brains, life.guard

        def happen() -> None:
            if life.guard != guard:
                return
            life.referee.performed(action)
            error, seen = act()
            if life.brains == brain and life.is_alive:
                if life.is_cut("acted"):
                    life.fall()
                else:
                    self._report(action, error, seen)

        life.time.later(delay_ms, happen)

    def _report(self, action: Action, error: str, seen: tuple[Payload, ...] = ()) -> None:
        finished = ActionFinished(
            action_id=action.action_id,
            target=action.target,
            is_ok=not error,
            detail=error,
            fault_id=action.fault_id,
        )
        self._life.tell(*seen, finished)

    def _start(self, action: Action) -> tuple[str, tuple[Payload, ...]]:
        name = _name(action)
        try:
            process = self._life.machine.spawn(name, action.generation)
        except OSError as exc:
            return str(exc), ()
        return "", (
            ProcessStarted(
                service=name, generation=action.generation, pid=process.pid, start_ticks=1
            ),
        )

    def _end(self, action: Action) -> tuple[str, tuple[Payload, ...]]:
        machine = self._life.machine
        process = machine.running.get(_name(action))
        if process is None or process.generation != action.generation:
            return "", ()
        program = machine.programs[process.service]
        if program.stop_failures:
            program.stop_failures -= 1
            return f"{action.action} failed", ()
        is_kill = action.action is ActionKind.KILL
        machine.end(process, exit_code=None if is_kill else 0, signal="SIGKILL" if is_kill else "")
        return "", ()

    def _prune(self, action: Action) -> tuple[str, tuple[Payload, ...]]:
        self._life.machine.prune(action.target)
        return "", ()

    def _run(self, action: Action, *, is_resumed: bool) -> None:
        """Run a command; a resumed one waits for what is left of the last run of it."""
        life = self._life
        if not is_resumed:
            self._begin(action)
            return
        left_ms = max(0, self._over_ms.get(action.action_id, 0) - life.time.now_ms)
        if action.is_repeatable:
            brain = life.brains
            life.time.later(left_ms, lambda: self._begin(action) if life.brains == brain else None)
        else:
            self._effect(action, left_ms, lambda: ("", ()))

    def _begin(self, action: Action) -> None:
        life = self._life
        life.referee.performed(action)
        life.referee.ran(action, life.time.now_ms, self._over_ms.get(action.action_id, 0))
        is_hung = life.machine.commands.get(action.command[0]) == "hangs"
        took_ms = life.rng.choice((50, 500, 5000))
        timeout_ms = int(action.timeout_s * 1000)
        self._over_ms[action.action_id] = life.time.now_ms + (timeout_ms if is_hung else took_ms)
        name = _name(action) if action.target.startswith("service/") else None

        def act() -> tuple[str, tuple[Payload, ...]]:
            if is_hung:
                return f"killed after {action.timeout_s:g} s", ()
            return life.machine.run_command(action.command[0], name), ()

        self._effect(action, timeout_ms if is_hung else took_ms, act)
        if life.is_cut("guard"):
            life.time.later(20, life.lose_guard)
            life.time.later(3000, life.revive)


def _name(action: Action) -> str:
    return action.target.partition("/")[2]
