"""What a service that cannot be given its secrets says of that, and what is made of it."""

from pathlib import Path
from typing import NoReturn

import pytest

from resile.daemon.handing import __main__ as handing
from resile.daemon.handing.errors import HandingError
from resile.health.ends import ProcessEnd, explain, read_last_words

AWAY = "its secrets cannot be had: the provider vault is sealed"


@pytest.mark.parametrize("is_early", [True, False])
def test_why_a_service_gets_no_secrets_is_why_it_ended(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    *,
    is_early: bool,
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise HandingError(AWAY)

    monkeypatch.setattr(handing, "_with_secrets", refuse)
    with pytest.raises(SystemExit) as ended:
        handing.main([str(tmp_path), "--", "true"])

    lines = ["an error of the life before", *capsys.readouterr().err.splitlines()]
    words = read_last_words(lines, exit_code=1, signal="")
    told = explain(ProcessEnd(exit_code=1, is_early=is_early, error=words.error))

    assert ended.value.code == 1
    assert told.text.endswith(f": resile: the service cannot start: {AWAY}")
