"""The examples of the how-to pages about testing, each run in order as one program."""

import re
from pathlib import Path

import pytest

from resile.policies.registry import REGISTRY

PAGES = Path(__file__).parents[3] / "docs" / "how-to"


@pytest.mark.parametrize(
    ("page", "count"), [("test-code-that-retries.md", 5), ("simulate-your-code.md", 3)]
)
def test_the_examples_run(page: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    text = (PAGES / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})

    assert len(blocks) == count
