"""Dates are taken from what checks and the secretkeeper saw."""

from datetime import UTC, datetime, timedelta
from typing import Any

from resile.core.vocabulary import CheckState, Resource
from resile.daemon.foresight.expiring import certificates, secrets
from resile.health import CheckKind, CheckResult, CheckSpec
from resile.health.model import Validity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HELD = Validity(since=NOW, until=NOW + timedelta(days=90))


def result(check: str, held: Validity | None) -> CheckResult:
    return CheckResult(
        check=check, state=CheckState.UP, reason="", latency_s=0.1, at=NOW, certificate=held
    )


def test_certificate_is_that_of_the_service_or_of_the_check() -> None:
    specs = [
        CheckSpec(id="api.ready", kind=CheckKind.HTTP, service="api"),
        CheckSpec(id="site", kind=CheckKind.HTTP),
        CheckSpec(id="plain", kind=CheckKind.HTTP),
        CheckSpec(id="new", kind=CheckKind.HTTP),
    ]
    results = {
        "api.ready": result("api.ready", HELD),
        "site": result("site", HELD),
        "plain": result("plain", None),
    }

    api, site = certificates(specs, results)

    assert (api.source.target, api.source.detail) == ("service/api", "api.ready")
    assert (site.source.target, site.source.detail) == ("check/site", "")
    assert site.source.resource is Resource.CERTIFICATE
    assert (site.since, site.until) == (HELD.since, HELD.until)


def row(name: str, created_at: str | None) -> dict[str, Any]:
    return {"name": name, "created_at": created_at}


def test_secret_ends_a_lifetime_after_it_was_made() -> None:
    rows = [row("tls", NOW.isoformat()), row("password", NOW.isoformat()), row("none", None)]

    (expiry,) = secrets(rows, {"tls": 3600.0, "none": 3600.0})

    assert expiry.source.target == "secret/tls"
    assert expiry.source.resource is Resource.SECRET
    assert expiry.until == NOW + timedelta(hours=1)
