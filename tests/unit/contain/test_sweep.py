"""Where the groups of the last daemon are, from its state folder."""

from pathlib import Path

import pytest

from resile.contain.cgroups.sweep import remembered
from resile.errors import CgroupError


def test_nothing_is_known_where_no_daemon_was(tmp_path: Path) -> None:
    assert remembered(tmp_path) is None


def test_what_may_not_be_read_is_told_with_whom_to_ask(tmp_path: Path) -> None:
    (tmp_path / "run" / "cgroups.json").mkdir(parents=True)

    with pytest.raises(CgroupError, match="cannot be read") as told:
        remembered(tmp_path)

    assert str(tmp_path) in (told.value.hint or "")
