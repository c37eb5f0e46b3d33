"""Say in the message of a log line what its fields say, for logs that show the message alone."""

from resile.core.passwords import without_password

LENGTH_MAX = 1000
"""A line, not a page; the fields of the record have it all."""


def log_line(event: str, fields: dict[str, object]) -> str:
    """Give the event with its fields, as "lane.unsaid topic=policies reason=it is too long".

    One line of at most 1,000 characters, without passwords of URLs. A logger takes it without
    arguments: a percent sign in it is no placeholder.
    """
    said = " ".join([event, *(f"{name}={value}" for name, value in fields.items())])
    return " ".join(without_password(said).split())[:LENGTH_MAX]
