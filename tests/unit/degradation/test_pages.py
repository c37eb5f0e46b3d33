"""The examples of the how-to pages, each page run in order as one program."""

import io
import re
import sys
from pathlib import Path

import pytest

from resile.degradation import Notice, ServiceState, Terminal
from resile.testing.clock import START

FOLDER = Path(__file__).parents[3] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("page", "count"), [("degrade-on-purpose.md", 9), ("send-later.md", 5)])
def test_the_examples_run(
    page: str,
    count: int,
    fresh_guards: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    blocks = BLOCK.findall((FOLDER / page).read_text())

    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})

    assert len(blocks) == count


def test_the_box_on_the_page_is_the_one_that_is_drawn() -> None:
    text = (FOLDER / "degrade-on-purpose.md").read_text()
    (shown,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (said,) = re.findall(r'notice="([^"]+)"', text)
    notice = Notice(id="n", service="database", state=ServiceState.FAILED, text=said, at=START)

    drawn = Terminal(title="Sentinel").written(notice, is_for_people=True, encoding="utf-8")

    assert drawn + "\n" == shown
