"""Blot out passwords in what other people's code wrote, such as an error of a database's driver."""

import re


def without_password(text: str) -> str:
    """Blot out the password of a URL or of a connection string."""
    text = re.sub(r"(://[^/@:\s]*):[^@/\s]*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)('[^']*'|\S+)", r"\1***", text, flags=re.IGNORECASE)
