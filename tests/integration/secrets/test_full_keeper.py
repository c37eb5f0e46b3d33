"""The line to a keeper that has no place for one more connection."""

import contextlib
from pathlib import Path

import pytest
from tests.support.keeping import keeper_in, wait_until

from resile.clients import wire
from resile.errors import ProviderDownError
from resile.secrets.providers.daemon import DaemonProvider

NAME = "db/password"
FULL = {"sort": "ProviderDownError", "message": "it is full", "retry_after_s": 0.1}


def test_keeper_that_has_no_place_is_asked_again_when_it_says(tmp_path: Path) -> None:
    with (
        keeper_in(tmp_path) as keeper,
        contextlib.closing(DaemonProvider.open(tmp_path, program="test")) as provider,
    ):
        keeper.values[NAME] = ("1", b"first")
        keeper.greeting = {"refused": "it is full", "error": FULL}
        with pytest.raises(ProviderDownError, match="it is full"):
            provider.read(NAME)
        keeper.greeting = {"v": wire.VERSION}

        def has_a_place() -> bool:
            with contextlib.suppress(ProviderDownError):
                return provider.read(NAME).reveal() == "first"
            return False

        wait_until("a place", has_a_place)
