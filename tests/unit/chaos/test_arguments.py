"""Options of faults, as people write them."""

import pytest
from tests.support.chaotic import TableFault, World

from resile.chaos.arguments import Kind, Parameter, read_arguments
from resile.chaos.catalogue import FAULTS

PARAMETERS = (
    Parameter(name="latency", kind=Kind.DURATION, text="how late", low=0.001, high=60),
    Parameter(name="share", kind=Kind.SHARE, text="of how many", default=1.0, high=1),
    Parameter(name="count", kind=Kind.COUNT, text="how many", default=2, low=1),
    Parameter(name="size", kind=Kind.SIZE, text="how large", default=1024, low=1),
    Parameter(name="way", kind=Kind.TEXT, text="which way", default="up", choices=("up", "down")),
)


def test_text_and_typed_values_mean_the_same():
    text, problems = read_arguments(
        PARAMETERS,
        {"latency": "250ms", "share": "30%", "count": "4", "size": "1MiB", "way": "down"},
    )
    typed, others = read_arguments(
        PARAMETERS, {"latency": 0.25, "share": 0.3, "count": 4, "size": 1 << 20, "way": "down"}
    )

    assert problems == others == []
    assert (
        text
        == typed
        == {
            "latency": 0.25,
            "share": 0.3,
            "count": 4,
            "size": 1 << 20,
            "way": "down",
        }
    )


def test_defaults_stand_for_what_is_not_said():
    values, problems = read_arguments(PARAMETERS, {"latency": "1s"})

    assert problems == []
    assert (values["share"], values["count"], values["way"]) == (1.0, 2, "up")


def test_every_mistake_is_told_at_once():
    _, problems = read_arguments(
        PARAMETERS, {"share": "200%", "count": "many", "size": "0B", "way": "left", "latancy": "1s"}
    )

    assert len(problems) == 6
    assert any("'latancy'; did you mean latency?" in problem for problem in problems)
    assert any(problem.startswith("latency is missing") for problem in problems)
    assert any("not within 0% to 100%" in problem for problem in problems)
    assert any("none of up, down" in problem for problem in problems)


@pytest.mark.parametrize("given", [True, 1.5, None, [], "1.5"])
def test_what_is_no_whole_number_is_refused(given):
    _, problems = read_arguments(PARAMETERS, {"latency": "1s", "count": given})

    assert len(problems) == 1


def test_every_default_of_the_catalogue_reads_as_it_is_shown():
    for fault in (*FAULTS.values(), TableFault(World())):
        for parameter in fault.parameters:
            if parameter.default is not None:
                given = {parameter.name: parameter.shown_default}
                values, problems = read_arguments([parameter], given)
                assert problems == []
                assert values == {parameter.name: parameter.default}
