"""Who depends on whom."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.systems import service, system

from resile.recover import Graph, ServiceSpec, SystemSpec

NAMES = [f"s{index}" for index in range(8)]


@st.composite
def any_systems(draw: st.DrawFn) -> SystemSpec:
    """Declare services that name each other, themselves and strangers at will: cycles included."""
    needs = st.lists(st.sampled_from([*NAMES, "ghost", "db", "s1.ready"]), max_size=4)
    services = [ServiceSpec(name=name, depends_on=tuple(draw(needs))) for name in NAMES]
    return system(*draw(st.permutations(services)), checks="db s1.ready")


@given(any_systems())
def test_the_start_order_holds_every_service_once_and_dependencies_first(spec: SystemSpec) -> None:
    graph = Graph(spec)

    assert sorted(graph.start_order) == sorted(NAMES)
    position = {name: index for index, name in enumerate(graph.start_order)}
    for name in NAMES:
        for need in graph.needs(name):
            if graph.is_service(need):
                assert position[need] < position[name]
                assert name in graph.dependents(need)
            assert need in graph.upstream(name)
        assert name not in graph.upstream(name)


def test_a_chain_longer_than_the_stack_is_no_trouble() -> None:
    names = [f"n{index}" for index in range(1500)]
    services = [
        service(n, *needs) for n, needs in zip(names, [(), *[(n,) for n in names]], strict=False)
    ]

    graph = Graph(system(*reversed(services)))

    assert graph.start_order == tuple(names)
    assert len(graph.upstream("n1499")) == 1499


def test_a_dependency_that_closes_a_cycle_is_left_out() -> None:
    graph = Graph(system(service("a", "b"), service("b", "a")))

    assert graph.start_order == ("b", "a")
    assert graph.needs("b") == ()
    assert graph.upstream("a") == ("b",)


def test_ancestors_are_targets_of_faults() -> None:
    spec = system(
        service("a"),
        service("b", "a", "db"),
        service("c", "b", "a.ready"),
        checks="db a.ready c.live",
    )
    graph = Graph(spec)

    assert graph.ancestors("service/c") == {"service/a", "service/b", "check/db"}
    assert graph.ancestors("check/c.live") == {"service/a", "service/b", "check/db"}
    assert graph.ancestors("check/db") == frozenset()
    assert graph.ancestors("service/ghost") == frozenset()
    assert graph.ancestors("check/ghost") == frozenset()


def test_a_check_of_its_own_is_nothing_to_wait_for() -> None:
    graph = Graph(system(service("a", "a.ready"), checks="a.ready"))

    assert graph.needs("a") == ()
