"""The examples of docs/how-to/use-a-secret.md, run in order as one program."""

import os
import re
from pathlib import Path

import pytest

from resile.secrets import redaction, using

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "use-a-secret.md"


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RESILE_SECRETS", "APP_DB_PASSWORD", "RESILE_STATE_DIR"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setattr(using, "_manager", None)
    monkeypatch.setattr(using, "_seeing", [])
    monkeypatch.setattr(redaction, "_redactors", [])
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {"__name__": "use_a_secret"}

    try:
        exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    finally:
        using.current_manager().close()
        names["stop"]()  # type: ignore[operator]

    assert len(blocks) == 4
    assert os.environ["APP_DB_PASSWORD"] == "another one"
