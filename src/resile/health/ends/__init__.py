"""Why a process ended: explained, with what it said last, and told apart from other problems. Pure."""

from resile.health.ends.causes import cause_of_check, cause_of_end
from resile.health.ends.complaints import shown
from resile.health.ends.explain import explain
from resile.health.ends.fingerprint import fingerprint
from resile.health.ends.model import Asked, Explanation, ProcessEnd
from resile.health.ends.reading import LastWords, read_last_words
from resile.health.ends.traces import Trace, TraceKind, find_trace

__all__ = [
    "Asked",
    "Explanation",
    "LastWords",
    "ProcessEnd",
    "Trace",
    "TraceKind",
    "cause_of_check",
    "cause_of_end",
    "explain",
    "find_trace",
    "fingerprint",
    "read_last_words",
    "shown",
]
