"""Which dates are known on which something is over: certificates of servers, and of secrets. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from resile.core.vocabulary import Resource
from resile.health import CheckResult, CheckSpec
from resile.health.prediction import Expiry, Source
from resile.recover import check_target, service_target


def certificates(
    checks: Iterable[CheckSpec], results: Mapping[str, CheckResult]
) -> Iterator[Expiry]:
    """Give until when the certificates hold that checks have seen."""
    for spec in checks:
        result = results.get(spec.id)
        if result is None or result.certificate is None:
            continue
        target = service_target(spec.service) if spec.service else check_target(spec.id)
        detail = spec.id if spec.service else ""
        source = Source(resource=Resource.CERTIFICATE, target=target, detail=detail)
        held = result.certificate
        yield Expiry(source=source, since=held.since, until=held.until)


def secrets(
    rows: Sequence[Mapping[str, Any]], lifetimes_s: Mapping[str, float]
) -> Iterator[Expiry]:
    """Give until when secrets are valid that are valid for a known time.

    Args:
        rows: As the secretkeeper tells them.
        lifetimes_s: How long a version is valid, by the secret's name.
    """
    for row in rows:
        lifetime_s, created_at = lifetimes_s.get(row["name"]), row["created_at"]
        if lifetime_s is None or created_at is None:
            continue
        since = datetime.fromisoformat(created_at)
        source = Source(resource=Resource.SECRET, target=f"secret/{row['name']}")
        yield Expiry(source=source, since=since, until=since + timedelta(seconds=lifetime_s))
