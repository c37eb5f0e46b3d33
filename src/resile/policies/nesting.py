"""Find out whether a retry runs inside of another one, which then owns the attempts.

Marking every first attempt in the context would cost more than all the rest of a retry that
succeeds. So nothing is marked before the second attempt; until then, the first failure looks up the
stack for the frame of a retry around it. Only failures pay for that, some microseconds.
"""

import sys
from types import CodeType, FrameType
from typing import Final

from resile.policies.context import RETRY_OWNER

GUARD_IN_GENERATED: Final = "_resile_guard"
"""What generated wrappers call their guard."""
_LAYER_IN_LOOP: Final = "layer"
_LOOPS: Final[list[CodeType]] = []
_FRAMES_MAX: Final = 5000
"""Deeper stacks are looked through up to here: Python's own limit is 1000 unless somebody set it."""


def mark_loop(code: CodeType) -> None:
    """Make the frames of a retry loop known; its local `layer` is the retry's state."""
    _LOOPS.append(code)


def is_within_retry(layer: object) -> bool:
    """Tell whether another run of attempts is around this one.

    Args:
        layer: The retry that asks. One frame of its loop and one of its generated wrapper are its
            own; a second one of either is the same function, called by itself.
    """
    if RETRY_OWNER.get():
        return True
    own: set[str] = set()
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to see the callers
    for _ in range(_FRAMES_MAX):
        key, layers = _retries_of(frame)
        if layers:
            if layer not in layers or key in own:
                return True
            own.add(key)
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _retries_of(frame: FrameType) -> tuple[str, tuple[object, ...]]:
    """Tell which kind of ours a frame is, and the layers that it runs; none if no retry is among."""
    code = frame.f_code
    if any(code is loop for loop in _LOOPS):
        return _LAYER_IN_LOOP, (frame.f_locals[_LAYER_IN_LOOP],)
    if GUARD_IN_GENERATED in code.co_freevars:
        guard = frame.f_locals[GUARD_IN_GENERATED]
        return GUARD_IN_GENERATED, guard.layers if guard.is_retrying else ()
    return "", ()
