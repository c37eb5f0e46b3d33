"""When a check is looked at: a stagger that needs no stored state.

Each check owns a phase within its interval, from a hash of its id, and is due whenever the wall
clock passes it. So a restarted brain goes on in the same rhythm, and a thousand checks of one
interval are spread evenly over it. Pure.
"""

import hashlib

_PHASE_BYTES = 8
_PHASES = float(1 << (8 * _PHASE_BYTES))


def phase_s(check: str, interval_s: float) -> float:
    """Tell where in its interval a check is due: 0 <= phase < `interval_s`. Stable for ever."""
    digest = hashlib.blake2b(check.encode(), digest_size=_PHASE_BYTES).digest()
    return int.from_bytes(digest, "big") / _PHASES * interval_s


def first_delay_s(check: str, interval_s: float, now_s: float) -> float:
    """Tell how long until a check is due for the first time: 0..`interval_s`.

    Args:
        check: Its id.
        interval_s: Above 0.
        now_s: The wall clock, in seconds since 1970.
    """
    return (phase_s(check, interval_s) - now_s) % interval_s


def next_delay_s(check: str, interval_s: float, now_s: float) -> float:
    """Tell how long until the look after one that is due now: 0.5..1.5 intervals.

    Half an interval always lies between two looks, so that neither a slot that came a moment
    early nor a jump of the wall clock makes two looks at once or a burst.
    """
    delay_s = first_delay_s(check, interval_s, now_s)
    return delay_s if delay_s >= interval_s / 2 else delay_s + interval_s
