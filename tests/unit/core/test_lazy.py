"""A package gives what its modules have, loads no other module, and says what it has not."""

import subprocess
import sys

import pytest

import resile.contain
from resile.contain.model import Limits
from resile.core.lazy import load

HOMES = {"places": ("runs_folder",), "model": ("Limits",)}


def test_name_that_no_module_has_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"no attribute .Limit.$"):
        load("resile.contain", "Limit", HOMES)


def test_name_comes_from_its_home_and_is_kept():
    assert load("resile.contain", "Limits", HOMES) is Limits
    assert vars(resile.contain)["Limits"] is Limits


def test_other_homes_are_not_loaded():
    code = (
        "import sys; from resile.contain import runs_folder;"
        "print(sorted(m for m in sys.modules if m in ('resile.contain.model', 'resile.contain.api')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
