import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from resile.core.metrics import SERIES_MAX, Registry


def samples(registry: Registry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(registry.text())
        for sample in family.samples
    }


def test_a_counter_counts_each_series_by_itself() -> None:
    registry = Registry()
    counter = registry.counter("resile_health_checks_total", "Checks.", labels=("state",))

    counter.add(state="up")
    counter.add(2, state="up")
    counter.add(state="down")

    assert counter.value(state="up") == 3
    assert samples(registry) == {
        ("resile_health_checks_total", (("state", "up"),)): 3,
        ("resile_health_checks_total", (("state", "down"),)): 1,
    }


def test_a_gauge_goes_up_and_down() -> None:
    registry = Registry()
    gauge = registry.gauge("resile_journal_queue_events", "Waiting.")

    gauge.set(5)
    gauge.set(-1.5)

    assert gauge.value() == -1.5
    assert samples(registry) == {("resile_journal_queue_events", ()): -1.5}


def test_a_histogram_cumulates_its_buckets() -> None:
    registry = Registry()
    name = "resile_recover_action_seconds"
    histogram = registry.histogram(name, "Actions.", labels=("kind",), buckets=(0.1, 1))

    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value, kind="start")

    assert samples(registry) == {
        (f"{name}_bucket", (("kind", "start"), ("le", "0.1"))): 2,
        (f"{name}_bucket", (("kind", "start"), ("le", "1"))): 3,
        (f"{name}_bucket", (("kind", "start"), ("le", "+Inf"))): 4,
        (f"{name}_sum", (("kind", "start"),)): pytest.approx(7.65),
        (f"{name}_count", (("kind", "start"),)): 4,
    }


def test_a_removed_series_is_gone() -> None:
    registry = Registry()
    gauge = registry.gauge("resile_service_up_state", "Up.", labels=("service",))
    gauge.set(1, service="api")

    gauge.remove(service="api")
    gauge.remove(service="never.there")

    assert samples(registry) == {}


def test_the_number_of_series_is_bounded_and_nothing_is_lost() -> None:
    registry = Registry()
    counter = registry.counter("resile_web_requests_total", "Requests.", labels=("path",))

    for number in range(SERIES_MAX + 500):
        counter.add(path=f"/{number}")

    values = samples(registry)
    assert len(values) == SERIES_MAX
    assert sum(values.values()) == SERIES_MAX + 500
    assert values["resile_web_requests_total", (("path", "other"),)] == 501


@given(st.text(), st.floats(allow_nan=False))
def test_any_label_and_value_survive_the_text_format(label: str, value: float) -> None:
    registry = Registry()
    registry.gauge("resile_test_value_ratio", label, labels=("name",)).set(value, name=label)

    assert samples(registry) == {("resile_test_value_ratio", (("name", label),)): value}


def test_a_value_that_is_no_number_is_written_as_such() -> None:
    registry = Registry()
    registry.gauge("resile_test_value_ratio", "Odd.").set(math.nan)

    (value,) = samples(registry).values()
    assert math.isnan(value)


def test_no_metrics_give_no_text() -> None:
    assert Registry().text() == ""


def test_metrics_are_sorted_described_and_typed() -> None:
    registry = Registry()
    registry.gauge("resile_b_size_bytes", "Second.").set(1)
    registry.counter("resile_a_runs_total", "First.").add()

    assert registry.names() == ("resile_a_runs_total", "resile_b_size_bytes")
    assert registry.text() == (
        "# HELP resile_a_runs_total First.\n"
        "# TYPE resile_a_runs_total counter\n"
        "resile_a_runs_total 1\n"
        "# HELP resile_b_size_bytes Second.\n"
        "# TYPE resile_b_size_bytes gauge\n"
        "resile_b_size_bytes 1\n"
    )


def test_asking_twice_gives_the_same_metric() -> None:
    registry = Registry()
    first = registry.counter("resile_a_runs_total", "Runs.")

    assert registry.counter("resile_a_runs_total", "Runs.") is first


def test_one_name_cannot_mean_two_things() -> None:
    registry = Registry()
    registry.gauge("resile_a_runs_total", "Runs.")

    with pytest.raises(AssertionError, match="already a gauge"):
        registry.counter("resile_a_runs_total", "Runs.")
    with pytest.raises(AssertionError, match="already a gauge"):
        registry.gauge("resile_a_runs_total", "Runs.", labels=("x",))


@pytest.mark.parametrize("name", ["resile_runs", "runs_of_a_total", "resile_A_b_total", ""])
def test_a_name_out_of_form_is_refused(name: str) -> None:
    with pytest.raises(AssertionError, match="is not resile_<part>_<noun>_<unit>"):
        Registry().gauge(name, "Wrong.")


def test_a_counter_says_that_it_is_a_total() -> None:
    with pytest.raises(AssertionError, match="_total"):
        Registry().counter("resile_a_runs_count", "Wrong.")


@pytest.mark.parametrize("label", ["le", "quantile", "Service", "1st", ""])
def test_a_label_out_of_form_is_refused(label: str) -> None:
    with pytest.raises(AssertionError, match="is no label"):
        Registry().gauge("resile_a_runs_ratio", "Wrong.", labels=(label,))


@pytest.mark.parametrize("buckets", [(), (1.0, 1.0), (2.0, 1.0)])
def test_buckets_must_rise(buckets: tuple[float, ...]) -> None:
    with pytest.raises(AssertionError, match="do not rise"):
        Registry().histogram("resile_a_run_seconds", "Wrong.", buckets=buckets)


def test_the_labels_must_be_those_of_the_metric() -> None:
    counter = Registry().counter("resile_a_runs_total", "Runs.", labels=("service",))

    with pytest.raises(AssertionError, match="has the labels"):
        counter.add()


@pytest.mark.parametrize("amount", [-1, math.inf, math.nan])
def test_a_counter_does_not_go_back(amount: float) -> None:
    with pytest.raises(AssertionError, match="cannot grow"):
        Registry().counter("resile_a_runs_total", "Runs.").add(amount)


def test_what_is_no_number_is_refused_where_it_is_set_and_the_page_stays_whole() -> None:
    registry = Registry()
    gauge = registry.gauge("resile_a_queue_jobs", "Jobs.", labels=("queue",))
    gauge.set(7, queue=5)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="could not convert"):
        gauge.set("many", queue="5")  # type: ignore[arg-type]

    assert samples(registry) == {("resile_a_queue_jobs", (("queue", "5"),)): 7}


def test_threads_lose_no_count() -> None:
    counter = Registry().counter("resile_a_runs_total", "Runs.")
    threads = [
        threading.Thread(target=lambda: [counter.add() for _ in range(1000)]) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counter.value() == 4000
