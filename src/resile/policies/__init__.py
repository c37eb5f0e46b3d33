"""Calls that fail well: policies around functions, calls and blocks, and the guards that run them.

Its modules are loaded when a name of theirs is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.policies.adaptive import AdaptiveLimit
    from resile.policies.attempts import BlockAttempt
    from resile.policies.backoff import Backoff, Jitter, Schedule
    from resile.policies.bound import Guard
    from resile.policies.breaker import (
        CLOSED,
        HALF_OPEN,
        OPEN,
        Breaker,
        BreakerChange,
        BreakerCounts,
        BreakerMode,
        BreakerState,
        LastFailure,
    )
    from resile.policies.breaking import BreakerLayer
    from resile.policies.budget import Budget
    from resile.policies.bulkhead import Bulkhead
    from resile.policies.cache import Cache
    from resile.policies.chaos import Chaos
    from resile.policies.classify import Verdict, retry_after_of
    from resile.policies.context import correlated, correlation_id, deadline_after, remaining_s
    from resile.policies.fallback import Fallback
    from resile.policies.hedge import Hedge
    from resile.policies.keyed import Keyed
    from resile.policies.layer import Layer
    from resile.policies.metrics import metrics_text
    from resile.policies.options import Options
    from resile.policies.pipeline import Pipeline, stack
    from resile.policies.policy import Policy
    from resile.policies.presets import nearest
    from resile.policies.ratelimit import RateLimit
    from resile.policies.readings import Reading, readings
    from resile.policies.registry import Registry, guard, guards
    from resile.policies.reloading import Loaded, load
    from resile.policies.retry import Attempt, Retry
    from resile.policies.retrying import RetryCounts, RetryLayer
    from resile.policies.signals import Signal, flush, listen
    from resile.policies.steering import ORDERS, steer
    from resile.policies.timeout import Timeout

__all__ = [
    "CLOSED",
    "HALF_OPEN",
    "OPEN",
    "ORDERS",
    "AdaptiveLimit",
    "Attempt",
    "Backoff",
    "BlockAttempt",
    "Breaker",
    "BreakerChange",
    "BreakerCounts",
    "BreakerLayer",
    "BreakerMode",
    "BreakerState",
    "Budget",
    "Bulkhead",
    "Cache",
    "Chaos",
    "Fallback",
    "Guard",
    "Hedge",
    "Jitter",
    "Keyed",
    "LastFailure",
    "Layer",
    "Loaded",
    "Options",
    "Pipeline",
    "Policy",
    "RateLimit",
    "Reading",
    "Registry",
    "Retry",
    "RetryCounts",
    "RetryLayer",
    "Schedule",
    "Signal",
    "Timeout",
    "Verdict",
    "correlated",
    "correlation_id",
    "deadline_after",
    "flush",
    "guard",
    "guards",
    "listen",
    "load",
    "metrics_text",
    "nearest",
    "readings",
    "remaining_s",
    "retry_after_of",
    "stack",
    "steer",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "adaptive": ("AdaptiveLimit",),
        "bulkhead": ("Bulkhead",),
        "cache": ("Cache",),
        "chaos": ("Chaos",),
        "fallback": ("Fallback",),
        "hedge": ("Hedge",),
        "ratelimit": ("RateLimit",),
        "timeout": ("Timeout",),
        "attempts": ("BlockAttempt",),
        "backoff": ("Backoff", "Jitter", "Schedule"),
        "bound": ("Guard",),
        "breaker": (
            "CLOSED",
            "HALF_OPEN",
            "OPEN",
            "Breaker",
            "BreakerChange",
            "BreakerCounts",
            "BreakerMode",
            "BreakerState",
            "LastFailure",
        ),
        "breaking": ("BreakerLayer",),
        "budget": ("Budget",),
        "classify": ("Verdict", "retry_after_of"),
        "context": ("correlated", "correlation_id", "deadline_after", "remaining_s"),
        "keyed": ("Keyed",),
        "layer": ("Layer",),
        "metrics": ("metrics_text",),
        "pipeline": ("Pipeline", "stack"),
        "options": ("Options",),
        "policy": ("Policy",),
        "presets": ("nearest",),
        "readings": ("Reading", "readings"),
        "reloading": ("Loaded", "load"),
        "registry": ("Registry", "guard", "guards"),
        "retry": ("Attempt", "Retry"),
        "retrying": ("RetryCounts", "RetryLayer"),
        "signals": ("Signal", "flush", "listen"),
        "steering": ("ORDERS", "steer"),
    }
    return load(__name__, name, homes)
