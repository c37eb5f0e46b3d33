"""What OpenTelemetry's own SDK collects from guards."""

import sys
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import resile
from resile.clients.opentelemetry import use_opentelemetry
from resile.errors import MissingExtraError
from resile.policies.registry import REGISTRY
from resile.policies.signals import POST
from resile.testing import FakeClock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(REGISTRY, "_guards", {})
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    monkeypatch.setattr(POST, "failed", 0)
    monkeypatch.setattr(POST, "dropped", 0)
    return clock


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    yield reader
    reader.shutdown()


def fails() -> None:
    raise OSError("secret")


def collected(reader: InMemoryMetricReader) -> dict[tuple[str, ...], float]:
    """Map each instrument and the values of its attributes to its value, without zeros."""
    data = reader.get_metrics_data()
    metrics = (
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
    return {
        (metric.name.removeprefix("resile.policy."), *map(str, point.attributes.values())): value
        for metric in metrics
        for point in metric.data.data_points
        if (value := point.value)  # type: ignore[union-attr]
    }


def test_numbers_become_instruments(reader: InMemoryMetricReader, clock: FakeClock) -> None:
    end = use_opentelemetry(
        meter_provider=MeterProvider(metric_readers=[reader]), tracer=False, clock=clock
    )
    guard = resile.guard("db", retry=resile.Retry(attempts=2, budget=False), breaker=True)
    with pytest.raises(OSError):
        guard.call(fails)

    seen = {
        ("attempts", "db", "failure"): 2,
        ("breaker_mode", "db", "automatic"): 1,
        ("breaker_state", "db", "closed"): 1,
        ("give_ups", "db"): 1,
        ("retries", "db"): 1,
    }
    assert collected(reader) == seen
    guard.call(len, "")
    assert collected(reader) == seen
    clock.advance(1)
    assert collected(reader)["attempts", "db", "success"] == 1
    end()
    assert collected(reader) == {}


@pytest.fixture
def spans() -> Iterator[tuple[Callable[[str], object], InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    end = use_opentelemetry(meter_provider=MeterProvider())
    yield provider.get_tracer("test").start_as_current_span, exporter
    end()
    end()
    assert POST._companions == ()


def test_signals_become_events_of_the_span_around(
    spans: tuple[Callable[[str], object], InMemorySpanExporter],
) -> None:
    start, exporter = spans
    guard = resile.guard("db", retry=2, breaker=resile.Breaker(failures=2))
    with start("work"), pytest.raises(OSError):  # type: ignore[attr-defined]
        guard.call(fails)

    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == [
        "resile.retry", "resile.opened", "resile.gave_up",
    ]  # fmt: skip
    attributes = span.events[0].attributes
    assert attributes is not None
    assert attributes["guard"] == "db"
    assert attributes["error"] == "OSError"
    assert "secret" not in span.to_json()


def test_without_a_span_nothing_happens(
    spans: tuple[Callable[[str], object], InMemorySpanExporter],
) -> None:
    with pytest.raises(OSError):
        resile.guard("db", retry=2).call(fails)

    assert not trace.get_current_span().is_recording()
    assert spans[1].get_finished_spans() == ()


def test_a_companion_that_raises_is_let_go_and_the_call_goes_on() -> None:
    before = POST.failed
    end = POST.accompany(lambda signal: 1 / 0)  # type: ignore[arg-type, return-value]

    with pytest.raises(OSError):
        resile.guard("db", retry=2).call(fails)
    end()

    assert POST.failed == before + 1


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)

    with pytest.raises(MissingExtraError) as caught:
        use_opentelemetry()

    assert caught.value.hint == "pip install 'resile[otel]'"
