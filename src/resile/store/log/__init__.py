"""A log of records that tells a torn tail from rot, written in groups."""

from resile.store.log.files import LogFiles
from resile.store.log.log import RecordLog
from resile.store.log.records import Record, RecordType

__all__ = ["LogFiles", "Record", "RecordLog", "RecordType"]
