"""A process that appends to a journal until it is killed, and says what was acknowledged.

Usage: journal_child.py FOLDER NAME COUNT SEGMENT_BYTES SEGMENTS
"""

import os
import sys
from pathlib import Path

from tests.support.journals import an_event

from resile.core.journal import SegmentLimits, open_journal

UNIT = 3
"""Events in one append: all or none of them may be there."""


def main() -> None:
    folder, name, count, segment_bytes, segments = sys.argv[1:]
    limits = SegmentLimits(bytes_max=int(segment_bytes), count_max=int(segments))
    journal = open_journal(Path(folder), limits=limits)
    for number in range(int(count)):
        events = [an_event(number, id=f"{name}-{number}-{i}") for i in range(UNIT)]
        journal.append(*events)
        os.write(1, f"{name}-{number}\n".encode())
    journal.close()


if __name__ == "__main__":
    main()
