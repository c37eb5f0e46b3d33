"""The code in the how-to does what the page says."""

import os
import re
from contextlib import closing
from pathlib import Path

import pytest

from resile.secrets import WritableProvider, open_provider

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "keep-secrets.md"


def test_the_store_has_another_master_key_as_the_page_says(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    state = place / ".resile"
    with closing(open_provider({}, state=state, environ=os.environ)) as provider:
        assert isinstance(provider, WritableProvider)
        provider.write("db/password", b"value", token="1")
    before = (state / "secrets" / "master.key").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    exec(compile(code, str(PAGE), "exec"), {})

    assert capsys.readouterr().out == "1 versions have a new master key\n"
    assert (state / "secrets" / "master.key").read_text() != before
    with closing(open_provider({}, state=state, environ=os.environ)) as provider:
        assert provider.read("db/password").reveal() == "value"
