"""Small declared systems for the tests of recovery and incidents."""

from typing import Any

from resile.core.vocabulary import CheckGroup, FaultKind
from resile.recover import CheckBinding, ServiceSpec, SystemSpec


def service(name: str, *needs: str, **options: Any) -> ServiceSpec:
    return ServiceSpec(name=name, depends_on=needs, **options)


def system(*services: ServiceSpec, checks: str = "", **options: Any) -> SystemSpec:
    """Declare a system.

    Args:
        services: Its services.
        checks: Ids, such as `a.ready a.live disk`; an id without a service's name and group
            before and behind its dot is a system check. `disk` means DISK_NEARLY_FULL.
        options: Further fields of the spec.
    """
    names = {spec.name: spec for spec in services}
    bindings = {check: _binding(check, names) for check in checks.split()}
    return SystemSpec(services=names, checks=bindings, **options)


def _binding(check: str, names: dict[str, ServiceSpec]) -> CheckBinding:
    name, _, group = check.partition(".")
    if name in names:
        return CheckBinding(check=check, service=name, group=CheckGroup(group))
    fault = {"disk": FaultKind.DISK_NEARLY_FULL, "db": FaultKind.DEPENDENCY_DOWN}
    return CheckBinding(
        check=check,
        service="",
        group=CheckGroup.SYSTEM,
        fault=fault.get(check, FaultKind.CHECK_DOWN),
    )
