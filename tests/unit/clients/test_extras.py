"""Optional packages: found, or told how to install."""

import json

import pytest

from resile.clients._extras import require
from resile.errors import MissingExtraError


def test_installed_module_is_given() -> None:
    assert require("json", extra="daemon") is json


def test_missing_package_gives_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"^no_such_sdk is not installed$") as caught:
        require("no_such_sdk.client", extra="daemon")

    assert caught.value.hint == "pip install 'resile[daemon]'"
