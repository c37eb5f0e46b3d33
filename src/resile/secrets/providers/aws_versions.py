"""How versions, tokens and stages stand in AWS Secrets Manager: by ids and staging labels. Pure.

AWS names a version by the token of its write, and never changes its value. So a candidate that takes the
place of another one of the same token gets the next number behind the token. AWS knows no secret whose
only version is a candidate, and none without a current version: a marker without a value stands there.
"""

import hashlib
import re
from collections.abc import Sequence

from resile.clients.aws import CURRENT, PENDING, PREVIOUS, StoredVersion
from resile.core.vocabulary import SecretStage
from resile.secrets.model import Version

WRITING = "RESILE_WRITING"
"""The label of a version between its writing and the moment in which it becomes current."""
MARKER_VALUE = b"(no value: this version marks that there is none)"
NOTHING_YET = "resile.nothing-yet.00000000000000"
_DESTROYED = "resile.destroyed."
_LENGTH_MIN, _LENGTH_MAX = 32, 64
"""Of a ClientRequestToken."""
_HEAD = "resile-"
_TRIES_DIGITS = 2
_TOKEN_LENGTH_MAX = _LENGTH_MAX - len(_HEAD) - 1 - _TRIES_DIGITS
_NUMBER = re.compile(rf"{_HEAD}(?P<body>[A-Za-z0-9_.-]+)-(?P<index>\d+)")
_HASHED = "sha256."
_PLAIN_TOKEN = re.compile(rf"(?!{re.escape(_HASHED)})[A-Za-z0-9_.-]{{1,{_TOKEN_LENGTH_MAX}}}")
_HASH_DIGITS = 32
INDEX_MAX = 10**_TRIES_DIGITS - 1
LABELS = {
    SecretStage.CURRENT.value: CURRENT,
    SecretStage.PREVIOUS.value: PREVIOUS,
    SecretStage.PENDING.value: PENDING,
}


def number_of(token: str, index: int) -> str:
    """Make the version id of a token's write: the same each time, 32 to 64 characters.

    Args:
        token: Any text. A plain one, such as a rotation's id, can be read from the id again.
        index: Which value of this token it is, from 0 to `INDEX_MAX`.
    """
    body = _body(token)
    digits = max(_TRIES_DIGITS, _LENGTH_MIN - len(_HEAD) - len(body) - 1)
    return f"{_HEAD}{body}-{index:0{digits}d}"


def token_of(number: str) -> str:
    """Give the token of a version id; empty if it is not ours, or only has the token's hash."""
    found = _NUMBER.fullmatch(number)
    return found["body"] if found and not found["body"].startswith(_HASHED) else ""


def index_of(number: str) -> int:
    """Tell which value of its token a version of ours holds."""
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise AssertionError(f"{number} is no version of ours")
    return int(found["index"])


def destroyed_number(number: str) -> str:
    """Make the id of the marker that takes the place of a destroyed current version."""
    return _DESTROYED + hashlib.sha256(number.encode()).hexdigest()[:_HASH_DIGITS]


def is_marker(number: str) -> bool:
    """Tell whether a version has no value, and only stands where AWS wants one."""
    return number == NOTHING_YET or number.startswith(_DESTROYED)


def is_number(text: str) -> bool:
    """Tell whether AWS could have a version of this id."""
    return _LENGTH_MIN <= len(text) <= _LENGTH_MAX


def stage_of(version: StoredVersion) -> SecretStage:
    """Tell what a version is to its name.

    Other tools leave AWSPENDING on a version that they have made current: it is no candidate then.
    """
    for label, stage in (
        (CURRENT, SecretStage.CURRENT),
        (PREVIOUS, SecretStage.PREVIOUS),
        (PENDING, SecretStage.PENDING),
    ):
        if label in version.stages:
            return stage
    return SecretStage.RETIRED


def of_token(versions: Sequence[StoredVersion], token: str) -> StoredVersion | None:
    """Give the newest version that was written with a token; None if there is none."""
    body = _body(token)
    mine = [
        one
        for one in versions
        if (found := _NUMBER.fullmatch(one.number)) and found["body"] == body
    ]
    return max(mine, key=lambda one: index_of(one.number), default=None)


def labelled(versions: Sequence[StoredVersion], label: str) -> StoredVersion | None:
    """Give the version that has a label; None if none has."""
    return next((one for one in versions if label in one.stages), None)


def candidate(versions: Sequence[StoredVersion]) -> StoredVersion | None:
    """Give the candidate, whoever's it is; None if there is none."""
    return next((one for one in versions if stage_of(one) is SecretStage.PENDING), None)


def current_number(versions: Sequence[StoredVersion]) -> str:
    """Give the id of the current version; empty if there is none with a value."""
    current = labelled(versions, CURRENT)
    return current.number if current and not is_marker(current.number) else ""


def told(version: StoredVersion) -> Version:
    """Give a version as all providers tell of it."""
    return Version(
        number=version.number,
        stage=stage_of(version),
        created_at=version.created_at,
        token=token_of(version.number),
    )


def _body(token: str) -> str:
    if _PLAIN_TOKEN.fullmatch(token):
        return token
    return _HASHED + hashlib.sha256(token.encode()).hexdigest()[:_HASH_DIGITS]
