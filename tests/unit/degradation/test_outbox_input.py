"""What cannot send, and what names nothing, is refused before a message is touched."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resile.degradation import Message, Outbox
from resile.errors import ConfigError


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as made:
        made.put(1)
        yield made


async def asend(message: Message) -> None:
    raise ConnectionError(message.id)


@pytest.mark.parametrize("send", [asend, None])
@pytest.mark.parametrize("way", ["drain", "deliver"])
def test_what_would_send_nothing_is_refused(outbox: Outbox, way: str, send: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        getattr(outbox, way)(send)

    assert caught.value.hint
    assert outbox.counts().waiting == 1


@pytest.mark.parametrize("way", ["adrain", "adeliver"])
def test_nothing_cannot_send_on_a_loop_either(outbox: Outbox, way: str) -> None:
    with pytest.raises(ConfigError, match="None is not callable"):
        asyncio.run(getattr(outbox, way)(None))


def test_a_coroutine_that_a_plain_function_gives_has_sent_nothing(outbox: Outbox) -> None:
    def send(message: Message) -> object:
        return asend(message)

    drained = outbox.drain(send)

    assert (drained.sent, drained.failed, outbox.counts().waiting) == (0, 1, 1)


@pytest.mark.parametrize("names", [{"id": 5}, {"id": ""}, {"key": 7}, {"key": "x" * 201}])
def test_ids_and_keys_are_texts(outbox: Outbox, names: Any) -> None:
    with pytest.raises(ConfigError, match=r"is not a text of [01]\.\.200 characters") as caught:
        outbox.put(2, **names)

    assert caught.value.hint


@pytest.mark.parametrize("key", [1, 2.5, True, None, (1, 2)])
def test_keys_of_maps_are_texts_at_any_depth(outbox: Outbox, key: Any) -> None:
    with pytest.raises(ConfigError, match=r"JSON data: .*key") as caught:
        outbox.put([{"order": ({key: 2},)}])

    assert "maps with text as keys" in caught.value.hint
    assert outbox.counts().waiting == 1
