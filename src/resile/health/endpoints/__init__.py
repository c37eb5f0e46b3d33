"""Health endpoints that a service mounts in one line: ASGI, WSGI, or a thread of their own."""

from resile.health.endpoints.health import Health
from resile.health.endpoints.model import Figure, HealthResult, HealthStatus

__all__ = ["Figure", "Health", "HealthResult", "HealthStatus"]
