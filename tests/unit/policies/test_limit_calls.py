"""The page on limits says what is so: its examples run, one after the other."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "limit-calls.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_on_limits_run() -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    names: dict[str, Any] = {"__name__": "limit_calls"}

    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)

    assert len(blocks) >= 9
