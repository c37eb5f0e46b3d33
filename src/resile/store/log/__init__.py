"""A log of records that tells a torn tail from rot, written in groups."""

from resile.store.log.files import LogFiles
from resile.store.log.log import RecordLog
from resile.store.log.looking import LogLook
from resile.store.log.records import Record, RecordType

__all__ = ["LogFiles", "LogLook", "Record", "RecordLog", "RecordType"]
