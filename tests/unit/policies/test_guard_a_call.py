"""The examples of docs/how-to/guard-a-call.md, run in order as one program."""

import re
from pathlib import Path

import pytest

from resile.policies.registry import REGISTRY

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "guard-a-call.md"


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    exec(compile("\n".join(blocks), str(PAGE), "exec"), {"__name__": "guard_a_call"})

    assert len(blocks) == 9
