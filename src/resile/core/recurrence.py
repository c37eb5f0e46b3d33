"""What a rule for something that recurs may look like. Pure; what reads it further is in `secrets.rotation`."""

import re

RULE_HINT = 'write an RRULE (RFC 5545) without COUNT and UNTIL, hourly at most: "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3"'
_PART = r"[A-Z]+=[A-Z0-9,+-]+"
_RULE = re.compile(rf"{_PART}(;{_PART})*")
_FREQUENCIES = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")


def is_rule(text: str) -> bool:
    """Tell whether it is an RRULE that never ends and comes once an hour at most."""
    if not _RULE.fullmatch(text):
        return False
    parts = dict(part.split("=") for part in text.split(";"))
    return parts.get("FREQ") in _FREQUENCIES and not {"COUNT", "UNTIL"} & parts.keys()
