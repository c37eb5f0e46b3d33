"""How much is tried: a sample as a rule, everything with RESILE_THOROUGH=1.

What is left out changes from run to run. A test that fails prints the seed of its sample, and
RESILE_SAMPLE=SEED tries the same again.
"""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
IS_THOROUGH = os.environ.get("RESILE_THOROUGH") == "1"
SEED = os.environ.get("RESILE_SAMPLE", "") or str(random.SystemRandom().getrandbits(32))


def some(everything: Sequence[T], count: int) -> list[T]:
    """Give the first, the last and others between, in order; all of them if thorough.

    Not for parameters of tests: the workers of a run would not agree on which tests there are.

    Args:
        everything: What could be tried.
        count: How many are, 2 or more.
    """
    if IS_THOROUGH or len(everything) <= count:
        return list(everything)
    print(f"RESILE_SAMPLE={SEED} tries the same again, RESILE_THOROUGH=1 everything")  # noqa: T201 - beside the test that fails
    between = random.Random(SEED).sample(range(1, len(everything) - 1), count - 2)
    return [everything[index] for index in (0, *sorted(between), len(everything) - 1)]


def times(few: int, many: int) -> int:
    """Give how often something random is tried: `few`, or `many` if thorough."""
    return many if IS_THOROUGH else few
