"""Looks at a log without opening it: beside whoever writes it, up to what is damaged."""

from collections.abc import Iterator
from pathlib import Path

from resile.errors import StoreDamagedError, StoreError
from resile.store.log.files import reason
from resile.store.log.head import HEAD_NAME, Head, decode_head
from resile.store.log.records import Record
from resile.store.log.scan import Scanned, check_follows, records_in, scan_segment
from resile.store.log.segments import damaged, decode_header, is_segment_name, segment_name


class LogLook:
    """What stands in a log at one moment. Takes no lock and changes nothing. Not thread-safe.

    Args:
        folder: Of the log; it may be missing: then nothing stands in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.damage = ""
        """What is wrong with the log; known when all records were given, which ends there."""

    def records(self) -> Iterator[Record]:
        """Give the records in order, up to a torn tail or to the first damage.

        Raises:
            NotAStoreError: If its format is one to come.
            StoreError: If it could not be read; also if a segment was dropped meanwhile.
        """
        try:
            head, _ = decode_head((self._folder / HEAD_NAME).read_bytes())
            yield from self._records(head)
        except FileNotFoundError:
            if (self._folder / HEAD_NAME).exists():
                raise StoreError(
                    f"the transaction log in {self._folder} was trimmed while it was read",
                    hint="Try again.",
                    is_transient=True,
                ) from None
        except StoreDamagedError as exc:
            self.damage = exc.message
        except OSError as exc:
            raise StoreError(
                f"the transaction log in {self._folder} cannot be read: {reason(exc)}",
                hint=f"Check the permissions of {self._folder}.",
            ) from exc

    def _records(self, head: Head) -> Iterator[Record]:
        found = sorted(int(p.stem) for p in self._folder.iterdir() if is_segment_name(p.name))
        segments = [first for first in found if first >= head.first_seq]
        if segments[:1] != [head.first_seq]:
            raise damaged(segment_name(head.first_seq), 0, "it is missing")
        before: Scanned | None = None
        for first in segments:
            name = segment_name(first)
            data = (self._folder / name).read_bytes()
            header = decode_header(data, name)
            check_follows(name, first, header, before, head)
            yield from (record for record, _, _ in records_in(data, header, name))
            before = scan_segment(data, name, head, is_last=first == segments[-1])
        if before is None or before.next_seq <= head.seq:
            raise damaged(name, 0, f"the log ends before record {head.seq}, which was durable")
