"""A writer without its thread, for tests of segments."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.journals import an_event

from resile.core.files import SYSTEM_FILES, Files
from resile.core.journal import Query, SegmentLimits
from resile.core.journal.chain import prepare
from resile.core.journal.read import Reader
from resile.core.journal.segments import list_segments
from resile.core.journal.writer import ChainWriter
from resile.testing import FakeClock

TINY = SegmentLimits(bytes_max=1, count_max=1000)
"""A segment is sealed as soon as it holds two events."""
TWO_KEPT = SegmentLimits(bytes_max=1, count_max=2)


@contextmanager
def writing(
    folder: Path,
    *,
    limits: SegmentLimits = TINY,
    files: Files = SYSTEM_FILES,
    clock: FakeClock | None = None,
) -> Iterator[ChainWriter]:
    with closing(
        ChainWriter(folder, clock=clock or FakeClock(), limits=limits, files=files)
    ) as writer:
        yield writer


def append(writer: ChainWriter, number: int) -> int:
    return writer.commit([prepare(an_event(number))])[-1].seq


def numbers(folder: Path) -> list[int]:
    with closing(Reader(folder)) as reader:
        records = reader.read(Query())
    return [r.event.body["number"] for r in records if r.event.subject != "journal"]


def starts(folder: Path) -> list[int]:
    return [segment.first_seq for segment in list_segments(folder)]
