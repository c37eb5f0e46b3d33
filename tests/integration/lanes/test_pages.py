"""The pages on steering and sharing say what is so: their examples run, each page in a process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from resile.clients.sharing.postgres import MAKE, MAKE_RATE

FOLDER = Path(__file__).parents[3] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```sql\nCREATE TABLE (.*?);\n```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["steer-policies-from-the-command-line", "share-breakers"])
def test_the_examples_run_without_a_daemon_and_a_database(name: str, tmp_path: Path) -> None:
    text = (FOLDER / f"{name}.md").read_text()
    blocks = BLOCK.findall(text)

    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert blocks
    assert done.returncode == 0, done.stderr


def test_the_tables_of_the_page_are_those_that_are_made() -> None:
    shown = SHOWN.findall((FOLDER / "share-breakers.md").read_text())

    made = [text.strip().removeprefix("CREATE TABLE IF NOT EXISTS ") for text in (MAKE, MAKE_RATE)]
    assert shown == made
