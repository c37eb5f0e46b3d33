"""Find out whether a retry runs inside of another one, which then owns the attempts.

Marking every first attempt in the context would cost more than all the rest of a retry that
succeeds. So nothing is marked before the second attempt; until then, the first failure looks up the
stack for the frame of a retry around it. Only failures pay for that, some microseconds.
"""

import sys
from types import CodeType
from typing import Final

from resile.policies.context import RETRY_OWNER

LAYER_IN_GENERATED: Final = "_resile_retry"
"""What generated wrappers call the layer of their retry."""
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
    own = {_LAYER_IN_LOOP: 0, LAYER_IN_GENERATED: 0}
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to see the callers
    for _ in range(_FRAMES_MAX):
        code = frame.f_code
        key = ""
        if any(code is loop for loop in _LOOPS):
            key = _LAYER_IN_LOOP
        elif LAYER_IN_GENERATED in code.co_freevars:
            key = LAYER_IN_GENERATED
        if key:
            if frame.f_locals[key] is not layer or own[key]:
                return True
            own[key] += 1
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False
