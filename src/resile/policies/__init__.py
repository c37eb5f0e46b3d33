"""Calls that fail well: policies around functions, calls and blocks, and the guards that run them."""

from resile.policies.bound import Guard
from resile.policies.context import correlated, correlation_id, deadline_after, remaining_s
from resile.policies.layer import Layer
from resile.policies.pipeline import Pipeline, stack
from resile.policies.policy import Policy

__all__ = [
    "Guard",
    "Layer",
    "Pipeline",
    "Policy",
    "correlated",
    "correlation_id",
    "deadline_after",
    "remaining_s",
    "stack",
]
