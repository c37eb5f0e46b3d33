"""The dashboard's token: private, new each time, and nobody decides without one."""

import stat
from pathlib import Path

from resile.daemon.token import make_token, read_token, remove_token


def test_a_token_is_private_and_new_each_time(tmp_path: Path) -> None:
    make_token(tmp_path)
    first = read_token(tmp_path)
    make_token(tmp_path)

    assert read_token(tmp_path) != first
    assert len(first) >= 43
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_without_a_file_there_is_no_token(tmp_path: Path) -> None:
    make_token(tmp_path)
    remove_token(tmp_path)
    remove_token(tmp_path)

    assert read_token(tmp_path) == ""
