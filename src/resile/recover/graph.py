"""Who depends on whom, computed once from the declaration. Pure; safe for cycles.

A dependency that would close a cycle is left out (the configuration refuses cycles; this keeps
a wrong one from blocking every start), and so is one that names nothing declared.
"""

from resile.core.vocabulary import CheckGroup
from resile.recover.model import SystemSpec, check_target, service_target


class Graph:
    """The dependencies of a system. Immutable; safe to share between threads.

    Names are those of `depends_on`: a service, or a check; a service wins where both exist.

    Args:
        spec: The declaration.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self._spec = spec
        self._needs: dict[str, tuple[str, ...]] = {}
        self._order: list[str] = []
        self._checks_of = _checks_of(spec)
        self._visit_all()
        self._dependents: dict[str, list[str]] = {name: [] for name in spec.services}
        for name in self._order:
            for need in filter(self.is_service, self._needs[name]):
                self._dependents[need].append(name)
        self._upstream = {name: self._reach(name) for name in spec.services}
        self._ancestors = {
            name: frozenset(map(self._target_of, names)) - {service_target(name)}
            for name, names in self._upstream.items()
        }

    @property
    def start_order(self) -> tuple[str, ...]:
        """Give the services, dependencies first, else as declared."""
        return tuple(self._order)

    def needs(self, service: str) -> tuple[str, ...]:
        """Give the services and checks that a service names itself."""
        return self._needs.get(service, ())

    def upstream(self, service: str) -> tuple[str, ...]:
        """Give everything that a service needs, however far away; nearest first."""
        return self._upstream.get(service, ())

    def dependents(self, service: str) -> tuple[str, ...]:
        """Give the services that name this one."""
        return tuple(self._dependents.get(service, ()))

    def is_service(self, name: str) -> bool:
        """Tell whether a name of `depends_on` is a service's, not a check's."""
        return name in self._spec.services

    def checks_of(self, service: str, group: CheckGroup | None = None) -> tuple[str, ...]:
        """Give the live and ready checks of a service, or those of one group."""
        return self._checks_of[service, group]

    def ancestors(self, target: str) -> frozenset[str]:
        """Give the targets whose faults may explain a fault of this target."""
        return self._ancestors.get(self._service_behind(target), frozenset())

    def _service_behind(self, target: str) -> str:
        kind, _, name = target.partition("/")
        if kind == "service":
            return name
        binding = self._spec.checks.get(name)
        return "" if binding is None else binding.service

    def _target_of(self, name: str) -> str:
        if self.is_service(name):
            return service_target(name)
        service = self._spec.checks[name].service
        return service_target(service) if service else check_target(name)

    def _visit_all(self) -> None:
        """Walk depth first without recursion: chains may be longer than Python's stack."""
        entered: set[str] = set()
        for name in self._spec.services:
            if name not in entered:
                self._visit(name, entered)

    def _visit(self, first: str, entered: set[str]) -> None:
        path: dict[str, list[str]] = {}
        entered.add(first)
        path[first] = []
        stack = [(first, iter(self._spec.services[first].depends_on))]
        while stack:
            current, rest = stack[-1]
            need = next(rest, None)
            if need is None:
                stack.pop()
                self._needs[current] = tuple(dict.fromkeys(path.pop(current)))
                self._order.append(current)
            elif self._is_useful(current, need) and need not in path:
                path[current].append(need)
                if self.is_service(need) and need not in entered:
                    entered.add(need)
                    path[need] = []
                    stack.append((need, iter(self._spec.services[need].depends_on)))

    def _is_useful(self, service: str, need: str) -> bool:
        """Tell whether a name can be waited for: a service, or a check of somebody else."""
        binding = self._spec.checks.get(need)
        return self.is_service(need) or (binding is not None and binding.service != service)

    def _reach(self, service: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        layer = list(self.needs(service))
        while layer:
            found.update(dict.fromkeys(layer))
            layer = [n for name in layer for n in self.needs(name) if n not in found]
        return tuple(found)


def _checks_of(spec: SystemSpec) -> dict[tuple[str, CheckGroup | None], tuple[str, ...]]:
    """List the checks of each service and group once: they are asked for all the time."""
    found: dict[tuple[str, CheckGroup | None], list[str]] = {
        (name, group): []
        for name in spec.services
        for group in (None, CheckGroup.LIVE, CheckGroup.READY)
    }
    for binding in spec.checks.values():
        if binding.group is not CheckGroup.SYSTEM and binding.service in spec.services:
            found[binding.service, None].append(binding.check)
            found[binding.service, binding.group].append(binding.check)
    return {key: tuple(checks) for key, checks in found.items()}
