"""What a journal has got since somebody read it last."""

from collections.abc import Iterator, Sequence

from resile.core.journal import Journal, Query, Record

PAGE = 1000


class JournalTail:
    """Reads each record of some kinds once, the oldest first. Not thread-safe.

    Args:
        journal: To read.
        kinds: Which, as in `Query`.
        at_start: So many of the newest at the first time; what is older is never read.
    """

    def __init__(self, journal: Journal, kinds: Sequence[str], *, at_start: int) -> None:
        self._journal = journal
        self._kinds = tuple(kinds)
        self._at_start = at_start
        self._read_seq = 0

    def read(self) -> Iterator[Sequence[Record]]:
        """Give what is new, in parts.

        Raises:
            JournalError: If the journal cannot be read; what was not given comes the next time.
        """
        head_seq = self._journal.head().seq
        if not self._read_seq:
            latest = Query(kinds=self._kinds, limit=self._at_start, is_newest_first=True)
            yield from self._given(self._journal.read(latest)[::-1])
        while self._read_seq < head_seq:
            page = self._journal.read(
                Query(kinds=self._kinds, after_seq=self._read_seq, limit=PAGE)
            )
            yield from self._given(page)
            if len(page) < PAGE:
                self._read_seq = max(self._read_seq, head_seq)

    def _given(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        if records:
            self._read_seq = records[-1].seq
            yield records
