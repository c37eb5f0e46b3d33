"""A journal that the tests copy and damage."""

import shutil
from pathlib import Path

import pytest
from tests.support.journals import an_event

from resile.core.journal import Query, Record, SegmentLimits, open_journal

SMALL = SegmentLimits(bytes_max=56_000, count_max=100)
COUNT = 400


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """Several sealed segments and a live one whose write-ahead file is not folded back."""
    folder = tmp_path_factory.mktemp("originals")
    journal = open_journal(folder / "open", limits=SMALL)
    for number in range(0, COUNT, 8):
        journal.append(
            *(
                an_event(n, subject=f"service/{n % 7}", correlation_id="x" * (n % 3))
                for n in range(number, number + 8)
            )
        )
    records = list(journal.read(Query()))
    shutil.copytree(folder / "open", folder / "journal")
    journal.close()
    return folder / "journal", records
