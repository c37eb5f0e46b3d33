import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.journals import an_event

from resile.core.events import (
    ActionFinished,
    Event,
    IncidentOpened,
    JournalPruned,
    OperatorRequested,
    Payload,
    ProcessStarted,
    announce,
    payload_fields,
    payload_kinds,
)
from resile.core.vocabulary import Priority, Verb

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KINDS = [kind for kind in payload_kinds() if not kind.startswith("test.")]
PLAIN_JSON = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)


def payloads(kind: str) -> st.SearchStrategy[Payload]:
    cls: Any = Payload.registry[kind]
    fields = {f.name: f.type for f in dataclasses.fields(cls)}
    special = {name: PLAIN_JSON for name, hint in fields.items() if "Mapping" in str(hint)}
    times = {
        name: st.datetimes(timezones=st.just(UTC))
        for name, hint in fields.items()
        if hint is datetime
    }
    return st.builds(cls, **special, **times)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_payload_comes_back_from_its_event(kind: str, data: st.DataObject) -> None:
    payload = data.draw(payloads(kind))

    event = announce(payload, at=NOW, actor="brain")

    assert event.payload() == payload
    assert (event.kind, event.subject) == (kind, payload.subject)
    assert event.correlation_id == payload.correlation_id


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_part_and_what_happened(kind: str) -> None:
    part, _, word = kind.partition(".")

    assert part.isidentifier()
    assert word.isidentifier()


def test_the_catalogue_lists_every_kind_once_and_sorted() -> None:
    assert list(payload_kinds()) == sorted(set(payload_kinds()))
    assert set(KINDS) <= set(payload_kinds())


def test_the_fields_of_a_kind_are_listed_in_order() -> None:
    assert payload_fields("journal.pruned") == ("through_seq", "head_hash")


@pytest.mark.parametrize(
    ("payload", "subject", "story"),
    [
        (JournalPruned(through_seq=1, head_hash=""), "journal", ""),
        (
            ProcessStarted(service="api", generation=1, pid=2, start_ticks=3),
            "service/api",
            "",
        ),
        (
            ActionFinished(action_id="a", target="service/api", is_ok=True, fault_id="f"),
            "service/api",
            "f",
        ),
        (
            IncidentOpened(
                incident_id="i",
                fault_id="f",
                target="service/api",
                severity=Priority.P1,
                title="",
                began_at=NOW,
            ),
            "incident/i",
            "i",
        ),
        (OperatorRequested(verb=Verb.STOP, services=("api",)), "service/api", ""),
        (OperatorRequested(verb=Verb.STOP, services=("api", "db")), "system", ""),
    ],
)
def test_a_payload_knows_what_it_is_about(payload: Payload, subject: str, story: str) -> None:
    assert (payload.subject, payload.correlation_id) == (subject, story)


def test_an_event_of_an_unknown_kind_has_no_payload() -> None:
    assert an_event(kind="future.invented").payload() is None


def test_a_body_that_does_not_fit_its_kind_is_refused() -> None:
    event: Event = an_event(kind="journal.pruned", body={"through_seq": "one"})

    with pytest.raises(ValueError, match="does not fit JournalPruned"):
        event.payload()


def test_the_base_of_payloads_is_about_nothing() -> None:
    with pytest.raises(NotImplementedError):
        _ = Payload().subject


def test_a_base_between_is_no_kind() -> None:
    before = payload_kinds()

    class Between(Payload):
        pass

    assert payload_kinds() == before
